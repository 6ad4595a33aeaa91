// Theory of operation
//
// Goal: know what stands before a node soon after it has connected, without being in anybody's way.
//
//   own addresses told → survey, as soon as the node is seen, or 500 ms later: then UDP is blocked
//   seen elsewhere     → survey, at most one in survey_interval
//   seen, though "UDP is blocked" → that was wrong: unknown again, and a survey after a while
//
// Limits: a survey is bounded, see nat::Survey; of its result 56 addresses are kept.

#include "narrowlink/control/node_view.hpp"

#include <algorithm>

namespace narrowlink::control {
namespace {

/// What the first probe may take longer than the first message.
constexpr Duration wait_for_probe = std::chrono::milliseconds{500};
constexpr Duration interval_after_silence = std::chrono::seconds{10};

} // namespace

void PortMemory::remember(const std::string& node, const std::vector<SocketAddress>& mapped)
{
    for (const SocketAddress& address : mapped) {
        const Key key{node, address.ip};
        auto known = ports_.find(key);
        if (known == ports_.end()) {
            if (oldest_.size() == most_entries) {
                ports_.erase(oldest_.front());
                oldest_.pop_front();
            }
            oldest_.push_back(key);
            known = ports_.emplace(key, std::deque<std::uint16_t>{}).first;
        }
        std::deque<std::uint16_t>& ports = known->second;
        if (std::ranges::find(ports, address.port) != ports.end())
            continue;
        if (ports.size() == most_ports)
            ports.pop_front();
        ports.push_back(address.port);
    }
}

std::vector<std::uint16_t> PortMemory::ports(const std::string& node,
                                             const IpAddress& external) const
{
    const auto known = ports_.find({node, external});
    if (known == ports_.end())
        return {};
    return {known->second.begin(), known->second.end()};
}

void NodeView::handle_own_addresses(Instant now, std::vector<IpAddress> own)
{
    const bool is_new = !has_told_; // when its network changes it is seen elsewhere, too
    own_ = std::move(own);
    has_told_ = true;
    if (is_new && (observed_ || !own_.empty()))
        want_survey(observed_ ? now : now + wait_for_probe);
    handle_timeout(now);
}

bool NodeView::handle_probe(Instant now, const nat::Observation& observation, const IpAddress& at)
{
    const bool is_main =
        observation.socket == nat::mapping_socket && observation.at == nat::GatewaySocket{};
    const bool moved = is_main && observed_ && *observed_ != observation.seen;
    if (is_main) {
        const bool is_first = !observed_;
        observed_ = observation.seen;
        probed_ = at;
        if (behaviour_ && behaviour_->reach == nat::Reach::blocked) {
            behaviour_.reset();
            want_survey(now);
        }
        if (has_told_ && ((is_first && !surveyed_at_) || moved))
            want_survey(now);
    }
    if (survey_)
        survey_->handle_probe(now, observation);
    settle();
    handle_timeout(now);
    return moved;
}

void NodeView::handle_filter_report(Instant now, const nat::FilterReport& report)
{
    if (survey_)
        survey_->handle_filter_report(now, report);
    settle();
}

void NodeView::expect_nothing()
{
    if (observed_)
        return;
    survey_due_ = never;
    survey_.reset();
}

void NodeView::want_survey(Instant at)
{
    if (surveyed_at_) {
        const bool was_blocked = !behaviour_;
        at = std::max(at, *surveyed_at_ + (was_blocked ? interval_after_silence : survey_interval));
    }
    survey_due_ = std::min(survey_due_, at);
}

void NodeView::begin(Instant now)
{
    survey_due_ = never;
    if (config_.gateway.first < 2)
        return;
    surveyed_at_ = now;
    survey_.emplace(nat::Survey::Config{.gateway = config_.gateway,
                                        .own_addresses = own_,
                                        .remembered_ports =
                                            observed_
                                                ? config_.memory->ports(config_.node, observed_->ip)
                                                : std::vector<std::uint16_t>{}},
                    now);
}

void NodeView::handle_timeout(Instant now)
{
    if (survey_)
        survey_->handle_timeout(now);
    settle();
    if (!survey_ && now >= survey_due_)
        begin(now);
}

void NodeView::settle()
{
    if (!survey_)
        return;
    const auto finished = survey_->poll_event();
    if (!finished)
        return;
    survey_.reset();
    behaviour_ = finished->behaviour;
    pool_.clear();
    for (const SocketAddress& address : finished->mapped_addresses)
        if (std::ranges::find(pool_, address.ip) == pool_.end())
            pool_.push_back(address.ip);
    config_.memory->remember(config_.node, finished->mapped_addresses);
    finished_ = true;
}

std::vector<IpAddress> NodeView::external_addresses() const
{
    std::vector<IpAddress> addresses;
    if (observed_)
        addresses.push_back(observed_->ip);
    for (const IpAddress& ip : pool_)
        if (std::ranges::find(addresses, ip) == addresses.end())
            addresses.push_back(ip);
    return addresses;
}

std::optional<nat::SurveyStep> NodeView::poll_request()
{
    return survey_ ? survey_->poll_request() : std::nullopt;
}

std::optional<nat::Survey::Transmit> NodeView::poll_transmit()
{
    return survey_ ? survey_->poll_transmit() : std::nullopt;
}

bool NodeView::poll_finished()
{
    return std::exchange(finished_, false);
}

Instant NodeView::deadline() const
{
    return survey_ ? survey_->deadline() : survey_due_;
}

} // namespace narrowlink::control

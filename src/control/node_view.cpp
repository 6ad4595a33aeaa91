// Theory of operation
//
// Goal: know what stands before a node soon after it has connected, without being in anybody's way.
//
//   own addresses told → survey, as soon as the node is seen, or 500 ms later: then UDP is blocked
//   seen elsewhere     → survey, at most one in survey_interval
//   seen, though "UDP is blocked" → that was wrong: unknown again, and a survey after a while
//   survey has ended   → lifetime survey after a while, if something keeps state and it is not remembered
//   another survey begins → the lifetime survey is over: its sockets close at the node
//
// A source address can be forged, by the node itself or by somebody who has its key. What is found out
// by that is only what the node wants to be thought of it; but others are sent to no address that the
// node has not proved to be at.
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

NatMemory::Known& NatMemory::entry(const Key& key)
{
    const auto known = known_.find(key);
    if (known != known_.end())
        return known->second;
    if (oldest_.size() == most_entries) {
        known_.erase(oldest_.front());
        oldest_.pop_front();
    }
    oldest_.push_back(key);
    return known_.emplace(key, Known{}).first->second;
}

void NatMemory::remember(const std::string& node, const std::vector<SocketAddress>& mapped)
{
    for (const SocketAddress& address : mapped) {
        std::deque<std::uint16_t>& ports = entry({node, address.ip}).ports;
        if (std::ranges::find(ports, address.port) != ports.end())
            continue;
        if (ports.size() == most_ports)
            ports.pop_front();
        ports.push_back(address.port);
    }
}

std::vector<std::uint16_t> NatMemory::ports(const std::string& node,
                                            const IpAddress& external) const
{
    const auto known = known_.find({node, external});
    if (known == known_.end())
        return {};
    return {known->second.ports.begin(), known->second.ports.end()};
}

void NatMemory::remember(Instant now, const std::string& node, const IpAddress& external,
                         const nat::MappingLifetime& lifetime)
{
    Known& known = entry({node, external});
    known.lifetime = lifetime;
    known.lifetime_until = now + lifetime_valid_for;
}

std::optional<nat::MappingLifetime>
NatMemory::lifetime(Instant now, const std::string& node, const IpAddress& external) const
{
    const auto known = known_.find({node, external});
    if (known == known_.end() || now >= known->second.lifetime_until)
        return std::nullopt;
    return known->second.lifetime;
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

bool NodeView::handle_probe(Instant now, const nat::Observation& observation, const IpAddress& at,
                            bool proved)
{
    const bool is_main = proved && observation.socket == nat::mapping_socket &&
                         observation.at == nat::GatewaySocket{};
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
        if (moved)
            drop_lifetime_survey();
    }
    if (survey_)
        survey_->handle_probe(now, observation);
    if (lifetime_survey_)
        lifetime_survey_->handle_probe(now, observation);
    settle(now);
    handle_timeout(now);
    return moved;
}

void NodeView::handle_proved(const IpAddress& external)
{
    if (std::ranges::find(proved_, external) != proved_.end())
        return;
    if (proved_.size() == most_proved)
        proved_.pop_front();
    proved_.push_back(external);
}

void NodeView::handle_filter_report(Instant now, const nat::FilterReport& report)
{
    if (survey_)
        survey_->handle_filter_report(now, report);
    settle(now);
}

void NodeView::handle_alive(Instant now, unsigned socket)
{
    if (lifetime_survey_)
        lifetime_survey_->handle_alive(now, socket);
    handle_timeout(now);
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
    drop_lifetime_survey();
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
    if (lifetime_survey_)
        lifetime_survey_->handle_timeout(now);
    settle(now);
    if (!survey_ && now >= survey_due_)
        begin(now);
    if (now >= lifetime_survey_due_) {
        lifetime_survey_due_ = never;
        lifetime_survey_.emplace(now);
    }
}

void NodeView::drop_lifetime_survey()
{
    lifetime_survey_.reset();
    lifetime_survey_due_ = never;
}

void NodeView::settle(Instant now)
{
    if (lifetime_survey_ && lifetime_survey_->result()) {
        const nat::MappingLifetime lifetime = *lifetime_survey_->result();
        lifetime_survey_.reset();
        behaviour_->lifetime = lifetime;
        if (lifetime != nat::MappingLifetime{})
            config_.memory->remember(now, config_.node, observed_->ip, lifetime);
        described_ = true;
    }
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
    plan_lifetime_survey(now);
    finished_ = described_ = true;
}

/// Once the survey has ended; where nothing keeps state there is nothing to find out.
void NodeView::plan_lifetime_survey(Instant now)
{
    using nat::Reach;
    const bool is_free = behaviour_->mapping == nat::Mapping::none &&
                         behaviour_->filtering == nat::Filtering::none;
    const bool is_reached =
        behaviour_->reach == Reach::open || behaviour_->reach == Reach::main_port_only;
    if (!config_.tells_lifetime || !observed_ || !is_reached || is_free)
        return;
    if (const auto known = config_.memory->lifetime(now, config_.node, observed_->ip))
        behaviour_->lifetime = *known;
    else
        lifetime_survey_due_ = now + lifetime_delay;
}

std::vector<IpAddress> NodeView::external_addresses() const
{
    std::vector<IpAddress> addresses;
    if (observed_)
        addresses.push_back(observed_->ip);
    for (const IpAddress& ip : pool_)
        if (std::ranges::find(addresses, ip) == addresses.end() &&
            std::ranges::find(proved_, ip) != proved_.end())
            addresses.push_back(ip);
    return addresses;
}

std::optional<nat::SurveyStep> NodeView::poll_request()
{
    if (survey_)
        return survey_->poll_request();
    return lifetime_survey_ ? lifetime_survey_->poll_request() : std::nullopt;
}

std::optional<nat::Survey::Transmit> NodeView::poll_transmit()
{
    if (survey_)
        return survey_->poll_transmit();
    return lifetime_survey_ ? lifetime_survey_->poll_transmit() : std::nullopt;
}

bool NodeView::poll_finished()
{
    return std::exchange(finished_, false);
}

bool NodeView::poll_described()
{
    return std::exchange(described_, false);
}

Instant NodeView::deadline() const
{
    if (survey_)
        return survey_->deadline();
    return std::min({survey_due_, lifetime_survey_due_,
                     lifetime_survey_ ? lifetime_survey_->deadline() : never});
}

} // namespace narrowlink::control

#include "doctor_session.hpp"

#include "narrowlink/drive/refusal_sentence.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <boost/system/system_error.hpp>

#include <algorithm>

namespace narrowlink::client {
namespace {

using namespace std::chrono_literals;

constexpr Duration session_time = 15s;
constexpr Duration offer_time = 2s;   ///< from the welcome to the offer to probe
constexpr Duration probing_time = 2s; ///< longer than all rounds of probes
constexpr Duration survey_time = 10s;

} // namespace

// The router is asked beside the session, see examine(), and for both protocols.
DoctorSession::DoctorSession(net::any_io_executor executor, const Settings& settings,
                             Random& random, DoctorFacts& facts)
    : executor_{executor}
    , facts_{&facts}
    , gateway_port_{settings.node.gateway.gateway.port}
    , node_{executor, settings.node, *this, random}
    , direct_{executor, control::Role::client, *this, random, PortMappingMode::off}
    , changed_{executor}
{
    facts_->session.emplace();
}

net::awaitable<void> DoctorSession::run()
{
    io::TaskScope scope{executor_, [](const std::exception_ptr&) {}};
    scope.spawn(keep_session());
    scope.spawn(direct_.run());
    auto observing = observe();
    auto running = scope.run(std::move(observing));
    co_await std::move(running);
}

net::awaitable<void> DoctorSession::keep_session()
{
    std::string trouble;
    bool refused = false;
    try {
        auto running = node_.run();
        co_await std::move(running);
    } catch (const io::WebError& error) {
        trouble = drive::refusal_sentence(error);
        refused = error.failure() == io::WebFailure::unauthorized;
    } catch (const drive::SessionRefused& error) {
        trouble = error.what();
        refused = true;
    }
    if (facts_->session->trouble.empty()) {
        facts_->session->trouble = trouble;
        facts_->session->token_refused = refused;
    }
    changed_.tell();
}

net::awaitable<bool> DoctorSession::changed_until(Instant deadline)
{
    if (io::now() >= deadline)
        co_return false;
    try {
        auto waiting = changed_.wait_until(deadline);
        co_await std::move(waiting);
    } catch (const boost::system::system_error& error) {
        if (error.code() != boost::system::errc::timed_out)
            throw;
        co_return false;
    }
    co_return true;
}

net::awaitable<void> DoctorSession::observe()
{
    Instant deadline = io::now() + session_time;
    bool is_in_time = true;
    while (is_in_time && !is_established_ && !has_ended()) {
        auto waiting = changed_until(deadline);
        is_in_time = co_await std::move(waiting);
    }
    if (has_ended())
        co_return;
    if (!is_established_) {
        facts_->session->trouble = "the gateway does not answer";
        co_return;
    }
    deadline = io::now() + offer_time;
    while (is_in_time && !facts_->session->has_probe_service && !has_ended()) {
        auto waiting = changed_until(deadline);
        is_in_time = co_await std::move(waiting);
    }
    if (!facts_->session->has_probe_service || has_ended())
        co_return;
    const Instant probed_at = io::now() + probing_time;
    deadline = io::now() + survey_time;
    is_in_time = true;
    while (is_in_time && !is_surveyed() && !has_ended()) {
        auto waiting = changed_until(deadline);
        is_in_time = co_await std::move(waiting);
    }
    net::steady_timer timer{executor_, probed_at};
    note_answers();
    const bool all = std::ranges::all_of(facts_->probed, [](const DoctorFacts::Probed& probed) {
        return probed.answered.size() == probed.asked.size();
    });
    if (!all)
        co_await timer.async_wait(net::use_awaitable);
    note_answers();
}

void DoctorSession::handle_session(const control::NodeSession::Established& session)
{
    is_established_ = true;
    facts_->session->name = session.name;
    facts_->session->user = session.user;
    if (const auto ip = node_.gateway_address())
        gateway_ = {*ip, gateway_port_};
    changed_.tell();
}

void DoctorSession::handle_session_lost(const std::string& sentence, Duration)
{
    if (facts_->session->trouble.empty())
        facts_->session->trouble = sentence;
    changed_.tell();
}

void DoctorSession::handle_session_event(const control::NodeSession::Event& event)
{
    if (const auto* offer = std::get_if<control::Observe>(&event)) {
        begin_probing(*offer);
    } else if (const auto* survey = std::get_if<control::SurveyRequest>(&event)) {
        direct_.survey(*survey);
    } else if (const auto* nat = std::get_if<control::NatDescription>(&event)) {
        direct_.handle_nat(*nat);
        for (DoctorFacts::Probed& probed : facts_->probed)
            if (probed.family == nat->family) {
                probed.nat = nat->text;
                probed.behaviour = nat->behaviour;
            }
    }
    changed_.tell();
}

/// The families in which both this machine and the gateway have an address.
void DoctorSession::begin_probing(const control::Observe& offer)
{
    const auto gateway = node_.gateway_address();
    if (!gateway || facts_->session->has_probe_service)
        return;
    facts_->session->has_probe_service = true;
    const std::vector<IpAddress> theirs =
        offer.addresses.empty() ? std::vector{*gateway} : offer.addresses;
    const std::vector<IpAddress> ours = io::interface_addresses();
    for (const control::Family family : {control::Family::v4, control::Family::v6}) {
        const bool v4 = family == control::Family::v4;
        DoctorFacts::Probed probed{.family = family};
        for (const IpAddress& ip : theirs)
            if (ip.is_v4() == v4)
                for (const std::uint16_t port : offer.ports)
                    probed.asked.push_back({ip, port});
        const bool have =
            std::ranges::any_of(ours, [v4](const IpAddress& ip) { return ip.is_v4() == v4; });
        if (have && !probed.asked.empty())
            facts_->probed.push_back(std::move(probed));
    }
    direct_.observe(offer, *gateway);
    node_.session()->tell_candidates(io::now(), direct_.candidates());
    node_.wake();
}

void DoctorSession::handle_addresses_changed()
{
    if (auto* session = node_.session()) {
        session->tell_candidates(io::now(), direct_.candidates());
        node_.wake();
    }
}

void DoctorSession::handle_survey_answer(const control::SurveyAnswer& answer)
{
    if (auto* session = node_.session()) {
        session->tell(io::now(), answer);
        node_.wake();
    }
}

bool DoctorSession::is_surveyed() const
{
    return std::ranges::none_of(
        facts_->probed, [](const DoctorFacts::Probed& probed) { return probed.nat.empty(); });
}

void DoctorSession::note_answers()
{
    for (DoctorFacts::Probed& probed : facts_->probed) {
        probed.answered.clear();
        for (const auto& [at, seen] : direct_.gateway_answers())
            if (at.ip.is_v4() == (probed.family == control::Family::v4)) {
                probed.answered.push_back(at);
                probed.seen = seen.ip;
            }
    }
}

} // namespace narrowlink::client

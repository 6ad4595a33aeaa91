// Theory of operation
//
// A request becomes a queue of probes, one of which goes out every nat::probe_spacing. Sockets are
// opened when the first of their probes is due and stay until the survey has ended: a NAT must not
// give their mappings to others meanwhile.
//
// Limits: those of control::SurveyRequest, one request at a time per family; whatever happens, the
// sockets are closed `patience` after the last request, those of the lifetime step when its longest
// time is over.

#include "narrowlink/direct/survey_runner.hpp"

#include "narrowlink/nat/lifetime_survey.hpp"

#include <algorithm>

namespace narrowlink::direct {
namespace {

using namespace std::chrono_literals;

constexpr Duration report_delay = 300ms; ///< for what the last probe may still bring
constexpr Duration patience = 10s;

} // namespace

void SurveyRunner::handle_request(Instant now, const control::SurveyRequest& request)
{
    Survey& survey = surveys_[request.family];
    const nat::SurveyStep& step = request.step;
    const bool reports = step.purpose == nat::SurveyStep::Purpose::filtering;
    const bool waits = step.purpose == nat::SurveyStep::Purpose::lifetime;
    survey.work.clear();
    for (unsigned round = 0; round < step.rounds; ++round)
        for (unsigned socket = 0; socket < step.sockets; ++socket)
            for (const nat::GatewaySocket to : step.to)
                survey.work.push_back({.socket = step.first_socket + socket, .to = to});
    survey.pause = waits ? nat::idle_step_pause : nat::probe_spacing;
    survey.pause_after = waits ? step.sockets * step.to.size() : 1;
    survey.sent = 0;
    survey.report = {.answered = false};
    const Duration sending = nat::probe_spacing * static_cast<int>(survey.work.size());
    survey.report_at = reports ? now + sending + report_delay : never;
    survey.due = now;
    survey.end_at = now + patience + (waits ? nat::LifetimeSurvey::idle_times.back() : Duration{});
    advance(now, request.family, survey);
}

void SurveyRunner::end(control::Family family)
{
    surveys_.erase(family); // and closes its sockets
}

SocketPtr SurveyRunner::socket_for(control::Family family, unsigned number)
{
    const bool v4 = family == control::Family::v4;
    if (number == nat::mapping_socket)
        return sockets_->main(v4);
    auto& sockets = surveys_.at(family).sockets;
    const auto known = sockets.find(number);
    if (known != sockets.end())
        return known->second;
    auto socket = sockets_->open(v4, Socket::Use::survey, number);
    if (socket)
        sockets.emplace(number, socket);
    return socket;
}

void SurveyRunner::handle_probe(const Socket& socket, const wire::Probe& probe)
{
    const auto survey = surveys_.find(socket.v4 ? control::Family::v4 : control::Family::v6);
    if (survey == surveys_.end())
        return;
    const bool is_idle = socket.number >= nat::first_idle_socket;
    if (is_idle && probe.kind == wire::ProbeKind::filter)
        owner_->handle_survey_answer(
            control::MappingAlive{.family = survey->first, .socket = socket.number});
    if (socket.number != nat::filter_socket)
        return;
    nat::FilterReport& report = survey->second.report;
    if (probe.kind == wire::ProbeKind::observed)
        report.answered = true;
    else if (probe.kind == wire::ProbeKind::filter)
        (probe.socket < 8 ? report.from_port : report.from_address) = true;
}

void SurveyRunner::advance(Instant now, control::Family family, Survey& survey)
{
    if (!survey.work.empty() && survey.due <= now) {
        const Work work = survey.work.front();
        survey.work.pop_front();
        const bool pauses = ++survey.sent % survey.pause_after == 0;
        survey.due = now + (pauses ? survey.pause : nat::probe_spacing);
        if (const auto socket = socket_for(family, work.socket))
            gateway_->send_survey_probe(*socket, work.to);
    }
    if (survey.report_at <= now) {
        survey.report_at = never;
        owner_->handle_survey_answer(control::Filtered{.family = family, .report = survey.report});
    }
}

void SurveyRunner::handle_timeout(Instant now)
{
    for (const control::Family family : {control::Family::v4, control::Family::v6}) {
        const auto survey = surveys_.find(family);
        if (survey == surveys_.end())
            continue;
        advance(now, family, survey->second);
        if (now >= survey->second.end_at)
            end(family);
    }
}

Instant SurveyRunner::deadline() const
{
    Instant next = never;
    for (const auto& [family, survey] : surveys_)
        next = std::min(
            {next, survey.work.empty() ? never : survey.due, survey.report_at, survey.end_at});
    return next;
}

} // namespace narrowlink::direct

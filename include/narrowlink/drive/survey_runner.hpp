#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/drive/udp_sockets.hpp"
#include "narrowlink/wire/probe.hpp"

#include <deque>
#include <map>
#include <memory>

namespace narrowlink::drive {

/// Does what the gateway asks for in its survey of what stands before this node: probes from the
/// main socket and from fresh ones, and the report of what came back to one that has talked to the
/// gateway's main port only.
///
/// Contract: call handle_timeout() at deadline().
class SurveyRunner {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        /// Sends a survey probe to this socket of the gateway.
        virtual void send_survey_probe(DirectSocket&, nat::GatewaySocket to) = 0;
        virtual void handle_filtered(const control::Filtered&) = 0;
    };

    /// Both must outlive it.
    SurveyRunner(UdpSockets& sockets, Owner& owner) : sockets_{&sockets}, owner_{&owner} {}

    void handle_request(Instant now, const control::SurveyRequest&);

    /// The survey of this family has ended, or the session with the gateway.
    void end(control::Family);

    /// An authentic probe of the gateway, at a socket of the survey.
    void handle_probe(const DirectSocket&, const wire::Probe&);

    void handle_timeout(Instant now);
    [[nodiscard]] Instant deadline() const;

private:
    struct Work {
        unsigned socket;
        nat::GatewaySocket to;
    };

    struct Survey {
        std::map<unsigned, std::shared_ptr<DirectSocket>> sockets; ///< without the main one
        std::deque<Work> work;
        Instant due = never;       ///< of the next probe
        Instant report_at = never; ///< of the filtering step
        Instant end_at = never;    ///< if the gateway says nothing any more
        nat::FilterReport report;
    };

    std::shared_ptr<DirectSocket> socket_for(control::Family, unsigned number);
    void advance(Instant now, control::Family, Survey&);

    UdpSockets* sockets_;
    Owner* owner_;
    std::map<control::Family, Survey> surveys_;
};

} // namespace narrowlink::drive

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/direct/gateway_probes.hpp"

#include <deque>
#include <map>

namespace narrowlink::direct {

/// Does what the gateway asks for in its surveys of what stands before this node: probes from the
/// main socket and from fresh ones, the report of what came back to one that has talked to the
/// gateway's main port only, and word of what still arrives at sockets that were left alone.
///
/// Contract: call handle_timeout() at deadline().
class SurveyRunner {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        /// For the gateway.
        virtual void handle_survey_answer(const control::SurveyAnswer&) = 0;
    };

    /// All must outlive it.
    SurveyRunner(SocketTable& sockets, GatewayProbes& gateway, Owner& owner)
        : sockets_{&sockets}, gateway_{&gateway}, owner_{&owner}
    {
    }

    void handle_request(Instant now, const control::SurveyRequest&);

    /// The survey of this family has ended, or the session with the gateway.
    void end(control::Family);

    /// An authentic probe of the gateway, at a socket of the survey.
    void handle_probe(const Socket&, const wire::Probe&);

    void handle_timeout(Instant now);
    [[nodiscard]] Instant deadline() const;

private:
    struct Work {
        unsigned socket;
        nat::GatewaySocket to;
    };

    struct Survey {
        std::map<unsigned, SocketPtr> sockets; ///< without the main one
        std::deque<Work> work;
        std::size_t sent = 0; ///< of it
        Duration pause{};     ///< after each `pause_after` probes
        std::size_t pause_after = 1;
        Instant due = never;       ///< of the next probe
        Instant report_at = never; ///< of the filtering step
        Instant end_at = never;    ///< if the gateway says nothing any more
        nat::FilterReport report;
    };

    SocketPtr socket_for(control::Family, unsigned number);
    void advance(Instant now, control::Family, Survey&);

    SocketTable* sockets_;
    GatewayProbes* gateway_;
    Owner* owner_;
    std::map<control::Family, Survey> surveys_;
};

} // namespace narrowlink::direct

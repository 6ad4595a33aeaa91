#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/liveness.hpp"
#include "narrowlink/control/message.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace narrowlink::control {

/// A node's end of one control session: one WebSocket connection to the gateway.
///
///     HelloSent ──welcome──▶ Established ──▶ Closed, event Closed
///         └──closing, protocol error, silence──▶ Closed, event Closed
///
/// Contract: construct it when the WebSocket is open; call handle_*() and commands with
/// non-decreasing `now`; after each call drain poll_transmit(), then poll_event(), then wait until
/// deadline(). After event Closed the owner closes the WebSocket. Commands in other states than
/// Established do nothing.
class NodeSession {
public:
    struct Config {
        Duration hello_timeout = std::chrono::seconds{10};
        Duration ping_interval = std::chrono::seconds{3};
        Duration silence_limit = std::chrono::seconds{8};
        std::size_t max_agents = 10'000; ///< of one list, over all parts
    };

    struct Established {
        std::uint32_t version;
        std::vector<std::string> features;
        std::string session, name, user;
    };

    struct AgentList {
        std::uint64_t id;
        std::vector<Agent> agents;
    };

    struct RttMeasured {
        Duration rtt;
    };

    /// The last event.
    struct Closed {
        ClosingReason reason;
        std::string message; ///< one sentence
        bool may_retry;      ///< else a person has to do something first
    };

    using Event = std::variant<Established, AgentList, Introduced, Introduction, Refused,
                               Interrupted, Released, Observe, SurveyRequest,
                               NatDescription, Punch, Aim, Unreachable, UdpRelay, RttMeasured, Closed>;

    NodeSession(Config config, Role role, Hello hello, Instant now);

    void handle_text(Instant now, std::string_view text);
    /// A binary message has come: the gateway is alive.
    void handle_binary_seen(Instant now);
    void handle_timeout(Instant now);

    void list(Instant now, std::uint64_t id);
    /// `resume`: the pair has existed, and the gateway shall wait for the agent to come back.
    void introduce(Instant now, std::uint64_t id, std::string agent, wire::PairId pair,
                   bool resume = false);
    /// An agent names the client's key as well.
    void release(Instant now, wire::PairId pair,
                 std::optional<crypto::Pin> client_key = std::nullopt);

    /// With the feature `direct` only.
    void tell_candidates(Instant now, Candidates candidates);
    void tell(Instant now, const SurveyAnswer& answer);
    void meet(Instant now, wire::PairId pair);
    void tell_punched(Instant now, const Punched& punched);

    /// The node's network has changed: unless the gateway answers within 2 s the session is over.
    void handle_network_changed(Instant now);

    /// Sends something soon, so that routers on the way know this session again if they have forgotten it.
    void show_up(Instant now);

    [[nodiscard]] std::optional<std::string> poll_transmit();
    [[nodiscard]] std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    [[nodiscard]] bool is_established() const { return std::holds_alternative<Live>(state_); }

private:
    struct HelloSent {
        Instant give_up_at;
    };

    struct Live { // Established is the event
        Liveness liveness;
        std::optional<AgentList> partial_list;
    };

    struct Ended {};

    void handle_hello_answer(Instant now, Message message);
    void handle_established(Instant now, Message message);
    void handle_agents(Agents part);
    void report_to(Role role, Event event);
    template <class PairMessage>
    void report_pair(PairMessage message);
    void ping_if_due(Instant now);
    void send(const Message& message);
    void end(ClosingReason reason, std::string message);

    Config config_;
    Role role_;
    std::uint32_t version_min_, version_max_;
    std::variant<HelloSent, Live, Ended> state_;
    std::deque<std::string> transmits_;
    std::deque<Event> events_;
};

} // namespace narrowlink::control

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

/// The gateway's end of one node's control session.
///
///     AwaitHello ──hello──▶ AwaitDecision ──accept()──▶ Established ──▶ Closed, event Closed
///         │                     └──refuse()──▶ Closed
///         └──timeout, anything else──▶ Closed
///
/// It keeps to the protocol; who the node is and what it may do is its owner's business: the token
/// is checked before it exists, and event HelloReceived asks for accept() or refuse().
///
/// Contract: as NodeSession's. After event Closed the owner sends what poll_transmit() still has
/// (a `closing`) and closes the WebSocket.
class GatewaySession {
public:
    struct Config {
        Duration hello_timeout = std::chrono::seconds{10};
        Duration ping_interval = std::chrono::seconds{3};
        Duration silence_limit = std::chrono::seconds{8};
        std::uint32_t messages_per_second = 50; ///< text messages, in the long run
        std::uint32_t message_burst = 200;
        std::vector<std::string> features = {};
    };

    struct HelloReceived {
        Hello hello;
    };

    /// A message for the Registry (List, Introduce, Release) or the Rendezvous (Candidates, Meet), as the
    /// role allows.
    struct MessageReceived {
        Message message;
    };

    struct RttMeasured {
        Duration rtt;
    };

    /// The last event, also after refuse() and close().
    struct Closed {
        ClosingReason reason;
        std::string message;
    };

    using Event = std::variant<HelloReceived, MessageReceived, RttMeasured, Closed>;

    /// What the node is told about itself.
    struct Acceptance {
        std::string session, name, user;
    };

    GatewaySession(Config config, Role role, Instant now);

    void handle_text(Instant now, std::string_view text);
    /// A binary message has come: the node is alive. Before accept() it breaks the protocol.
    void handle_binary_seen(Instant now);
    /// The owner could not make sense of a binary message.
    void handle_malformed_binary(Instant now);
    void handle_timeout(Instant now);

    /// Answers HelloReceived; at any other time it does nothing.
    void accept(Instant now, Acceptance acceptance);
    /// Ends the session, in any state. refuse() is the same, by its name after HelloReceived.
    void close(Instant now, ClosingReason reason, std::string message);

    void refuse(Instant now, ClosingReason reason, std::string message)
    {
        close(now, reason, std::move(message));
    }

    /// Sends what the Registry has to say; only an established session does.
    void send(const Message& message);

    [[nodiscard]] std::optional<std::string> poll_transmit();
    [[nodiscard]] std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    [[nodiscard]] bool is_established() const { return std::holds_alternative<Live>(state_); }

private:
    struct AwaitHello {
        Instant give_up_at;
    };

    struct AwaitDecision {
        Instant give_up_at;
        std::uint32_t version;
        std::vector<std::string> features;
    };

    struct Live {
        Liveness liveness;
    };

    struct Ended {};

    bool take_allowance(Instant now);
    void handle_hello(Instant now, Message message);
    void handle_established(Instant now, Message message);
    template <class ClientMessage>
    void report_from_client(Instant now, ClientMessage message);
    void ping_if_due(Instant now);

    Config config_;
    Role role_;
    std::variant<AwaitHello, AwaitDecision, Live, Ended> state_;
    Duration allowance_; ///< token bucket, as the time it took to fill
    Instant allowance_at_;
    std::deque<std::string> transmits_;
    std::deque<Event> events_;
};

} // namespace narrowlink::control

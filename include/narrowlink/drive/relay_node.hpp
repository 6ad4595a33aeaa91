#pragma once

#include "narrowlink/control/backoff.hpp"
#include "narrowlink/control/node_session.hpp"
#include "narrowlink/drive/pair_driver.hpp"
#include "narrowlink/io/web_socket.hpp"

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

namespace narrowlink::drive {

/// The gateway will not have this node, and trying again will not help: a person has to act.
class SessionRefused : public std::runtime_error {
public:
    SessionRefused(control::ClosingReason reason, const std::string& sentence)
        : std::runtime_error{sentence}
        , reason_{reason}
    {
    }

    [[nodiscard]] control::ClosingReason reason() const { return reason_; }

private:
    control::ClosingReason reason_;
};

/// A node's connection to its gateway, kept up for as long as run() runs: the control session, and the
/// relay carrier of every pair that is attached to it.
///
/// Single-threaded.
class RelayNode {
public:
    struct Config {
        io::ConnectOptions gateway; ///< the deadline in it is not used
        control::Role role = control::Role::client;
        control::Hello hello;
        Duration connect_timeout = std::chrono::seconds{10};
        Duration longest_wait = std::chrono::seconds{10}; ///< between attempts, with nothing to resume
        bool give_up_when_unreachable = false; ///< client: an attempt that fails before any session ends run()
    };

    /// What the owner is told.
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void handle_session(const control::NodeSession::Established&) = 0;
        /// `sentence` says why; the next attempt comes after `wait`.
        virtual void handle_session_lost(const std::string& sentence, Duration wait) = 0;
        /// Everything else the session reports: lists, introductions and their ends.
        virtual void handle_session_event(const control::NodeSession::Event&) = 0;
    };

    RelayNode(net::any_io_executor executor, Config config, Owner& owner, Random& random);
    RelayNode(const RelayNode&) = delete;
    RelayNode& operator=(const RelayNode&) = delete;

    /// Connects, and reconnects for ever. Throws SessionRefused, io::WebError for what only a person can mend (a
    /// refused token, a wrong certificate), and operation_aborted.
    net::awaitable<void> run();

    /// The session, for commands; null while there is none. Call wake() after a command.
    control::NodeSession* session() { return session_ ? &*session_ : nullptr; }

    [[nodiscard]] const control::NodeSession* session() const
    {
        return session_ ? &*session_ : nullptr;
    }

    /// A pair or the session may have something to send. `kind`: a pair, on carriers of this kind only.
    void wake(std::optional<path::CarrierKind> kind = std::nullopt)
    {
        if (!kind || kind == path::CarrierKind::websocket_relay)
            egress_.set();
    }

    /// This host has other addresses or routes than before, or was asleep: a connection that cannot
    /// work any more is given up, one that may still work has to prove it soon, and the next attempt
    /// is made at once.
    void handle_network_changed();

    /// As control::NodeSession.
    void show_up();

    /// Where the gateway is, while there is a session.
    [[nodiscard]] std::optional<IpAddress> gateway_address() const
    {
        if (!socket_)
            return std::nullopt;
        return socket_->remote_address().ip;
    }

    [[nodiscard]] std::optional<Duration> gateway_rtt() const { return gateway_rtt_; }

    /// The relay carrier of `driver` is up under this handle.
    void attach(wire::PairHandle handle, PairDriver& driver);
    /// It is down, or the driver goes away.
    void detach(PairDriver& driver);

private:
    struct Attached {
        PairDriver* driver;
        path::CarrierId carrier;
    };

    net::awaitable<void> connect();
    net::awaitable<void> wait_for_interruption();
    net::awaitable<void> serve();
    net::awaitable<void> ingress_loop();
    net::awaitable<void> egress_loop();
    net::awaitable<void> liveness_loop();
    net::awaitable<bool> send_one_round(Buffer& block);
    void handle_relayed(Bytes message);
    void drain_session();
    void detach_all();
    [[nodiscard]] bool is_final(const io::WebError&) const;

    Config config_;
    Owner* owner_;
    Random* random_;
    io::Event egress_, liveness_;
    io::Event interrupted_; ///< an attempt to connect, or the wait for the next one
    Instant watched_until_ = never; ///< what liveness_loop() waits for
    control::Backoff backoff_;
    BufferPool messages_;
    std::optional<io::WebSocket> socket_;
    std::optional<control::NodeSession> session_;
    std::optional<control::NodeSession::Closed> closed_;
    std::optional<Duration> gateway_rtt_;
    std::map<wire::PairHandle, Attached> attached_;
    wire::PairHandle last_served_{};
    Instant had_pairs_at_{}; ///< when a session ended last that had any
    bool was_established_ = false;
};

} // namespace narrowlink::drive

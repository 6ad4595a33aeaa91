#pragma once

#include "gateway.hpp"
#include "narrowlink/control/backoff.hpp"
#include "narrowlink/control/node_session.hpp"
#include "pair_driver.hpp"

namespace narrowlink::sim {

/// Plays drive::RelayNode over a simulated network.
class RelayNode final : Socket::Owner {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void handle_session(const control::NodeSession::Established&) = 0;

        virtual void handle_session_lost() {}

        virtual void handle_session_event(const control::NodeSession::Event&) = 0;

        /// The gateway will not have this node any more.
        virtual void handle_refused() {}
    };

    RelayNode(World& world, Gateway& gateway, Access& access, Claims claims, control::Hello hello,
              Owner& owner);

    void start() { connect(); }

    control::NodeSession* session() { return session_ ? &*session_ : nullptr; }

    /// As the original's.
    void wake(std::optional<path::CarrierKind> kind = std::nullopt);

    /// The address that a session is bound to is gone. Unlike the original's, an attempt to connect
    /// is not interrupted.
    void handle_network_changed();
    void show_up();

    void attach(wire::PairHandle handle, PairDriver& driver);
    void detach(PairDriver& driver);

    [[nodiscard]] unsigned sessions_lost() const { return sessions_lost_; }

private:
    struct Attached {
        PairDriver* driver;
        path::CarrierId carrier;
    };

    /// Where an attempt to connect has got to: round trips of TCP, TLS, HTTP.
    struct Dialling {
        Instant give_up_at;
        unsigned round_trips = 0;
        Duration retry_after{};
    };

    static constexpr unsigned round_trips_needed = 3;

    void connect();
    void go_on_dialling();
    void finish_dialling();
    void serve();
    void lose_session(const std::string& reason);
    void retry();

    void handle_message(MessageKind, Bytes) override;
    void handle_written() override;
    void handle_end() override;
    void handle_relayed(Bytes message);
    void handle_timeout();
    void settle();
    void drain_session();
    void write_next();
    bool send_train();

    World* world_;
    Gateway* gateway_;
    Access* access_;
    Claims claims_;
    control::Hello hello_;
    Owner* owner_;
    control::Backoff backoff_;
    std::optional<Dialling> dialling_;
    std::unique_ptr<Socket> socket_;
    std::optional<control::NodeSession> session_;
    std::optional<control::NodeSession::Closed> closed_;
    std::map<wire::PairHandle, Attached> attached_;
    wire::PairHandle last_served_{};
    Instant had_pairs_at_{};
    unsigned sessions_lost_ = 0;
    bool writing_ = false;
    bool woken_ = false;
    Timer dial_, liveness_;
    Life life_;
};

} // namespace narrowlink::sim

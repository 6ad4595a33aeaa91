#pragma once

#include "authority.hpp"
#include "worker.hpp"

#include "narrowlink/control/gateway_session.hpp"
#include "narrowlink/control/registry.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/web_server.hpp"
#include "narrowlink/relay/queue.hpp"
#include "narrowlink/relay/table.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <unordered_map>

namespace narrowlink::gateway {

class Hub;

/// What a node and the gateway can do over UDP.
struct UdpAbilities {
    bool punches = false;
    bool relays = false;
    bool tells_lifetime = false; ///< of mappings

    [[nodiscard]] bool any() const { return punches || relays; }
};

/// One node's session: its WebSocket, the gateway's end of the control session, and the relay
/// messages that come from it and go to it.
///
/// It lives on the thread of its connection; everything but post_*() is called there. The hub and
/// other sessions reach it by posting, which is why it is shared: a post may outlive the session.
class Session : public std::enable_shared_from_this<Session> {
public:
    struct Config {
        control::GatewaySession::Config control;
        relay::EgressQueue::Config queue;
    };

    Session(const Config&, control::SessionId id, Worker& worker, io::WebSocket socket,
            Admission admission, const io::WebRequest& request, const Authority& authority,
            Hub& hub);

    /// Until the session has ended.
    net::awaitable<void> run();

    [[nodiscard]] control::SessionId id() const { return id_; }

    [[nodiscard]] net::any_io_executor executor() { return worker_->context.get_executor(); }

    // From the hub, in the order posted.
    void accept();
    void refuse(control::ClosingReason reason, const std::string& message);
    void send(const control::Message& message);
    void close(control::ClosingReason reason, const std::string& message);
    void add_route(wire::PairHandle handle, std::shared_ptr<Session> peer,
                   wire::PairHandle handle_at_peer);
    void remove_route(wire::PairHandle handle);

private:
    net::awaitable<void> ingress_loop();
    net::awaitable<void> egress_loop();
    net::awaitable<void> liveness_loop();
    net::awaitable<bool> write_next();

    void handle_hello(const control::Hello&);
    void relay(Buffer message);
    /// Takes a relay message of another session, on this session's thread.
    void deliver(wire::PairHandle handle, Buffer message);
    void post_delivery(wire::PairHandle handle, Buffer message);
    void drain_control();
    void log_end(const std::string& reason) const;

    control::SessionId id_;
    Worker* worker_;
    io::WebSocket socket_;
    Admission admission_;
    IpAddress remote_;
    bool through_proxy_;
    const Authority* authority_;
    Hub* hub_;
    Instant since_;
    Instant expires_at_ = never;
    control::GatewaySession control_;
    std::vector<std::string> offered_; ///< features of this gateway
    relay::EgressQueue queue_;
    relay::Table table_;
    std::unordered_map<control::SessionId, std::shared_ptr<Session>> peers_;
    std::atomic<std::size_t> posted_bytes_ = 0; ///< on their way from other threads
    io::Event egress_, liveness_;
    Instant watched_until_ = never; ///< what liveness_loop() waits for
    std::optional<control::GatewaySession::Closed> closed_;
};

} // namespace narrowlink::gateway

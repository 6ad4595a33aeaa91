#pragma once

#include "authority.hpp"
#include "session.hpp"

#include "narrowlink/control/datagram_relay.hpp"
#include "narrowlink/control/registry.hpp"
#include "narrowlink/control/rendezvous.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace narrowlink::gateway {

/// The gateway's books and who is told what: runs the Registry on the first thread. Sessions reach
/// it by posting; it reaches them by posting what the Registry decides.
class Hub {
public:
    /// `random` must outlive the hub.
    Hub(net::any_io_executor executor, const control::Registry::Config& config,
        const control::Rendezvous::Config& rendezvous, Authority& authority, Random& random);

    // From any thread.
    void post_hello(std::shared_ptr<Session> session, control::Role role,
                    control::Registry::Node node, ClientPolicies policies, UdpAbilities abilities);
    void post_message(control::SessionId session, control::Message message);
    void post_end(control::SessionId session);
    void post_rtt(control::SessionId session, Duration rtt);

    /// As control::Rendezvous; on the hub's thread.
    std::optional<nat::ProbePacket> handle_datagram(const control::Rendezvous::Arrival&,
                                                    Bytes datagram);

    /// Where a packet goes that came from a node; on the hub's thread.
    relay::DatagramTable::Found find_route(const SocketAddress& from, const wire::RelayTag& tag)
    {
        return datagrams_.table().find(io::now(), from, tag);
    }

    /// Who sends the datagrams that are no answers; before the first datagram comes.
    void send_datagrams_with(std::function<void(const control::Rendezvous::Transmit&)> send);

    /// Timers and the watch over revocations, on the hub's thread.
    net::awaitable<void> run();

    /// Closes every session, saying that the gateway stops. On the hub's thread.
    void shut_down();

private:
    struct Known {
        std::shared_ptr<Session> session;
        std::vector<std::string> policy_tokens;
        std::string nat_v4 = {}, nat_v6 = {}; ///< for lists
    };

    void add(std::shared_ptr<Session> session, control::Role role, control::Registry::Node node,
             ClientPolicies policies, UdpAbilities abilities);
    void drain();
    void describe_nat(control::SessionId, const control::NatDescription&);
    void act(const control::Registry::Send&);
    void act(const control::Registry::Route&);
    void act(const control::Registry::Unroute&);
    void act(const control::Registry::Close&);
    void act(const control::Registry::PairUp&);
    void act(const control::Registry::PairDown&);
    void send(control::SessionId to, control::Message message);
    void revoke(const std::vector<std::string>& tokens);
    std::shared_ptr<Session> find(control::SessionId);
    net::awaitable<void> timer_loop();
    net::awaitable<void> revocation_loop();

    net::any_io_executor executor_;
    control::Registry registry_;
    control::Rendezvous rendezvous_;
    control::DatagramRelay datagrams_;
    Authority* authority_;
    std::map<control::SessionId, Known> sessions_;
    std::function<void(const control::Rendezvous::Transmit&)> send_datagram_;
    io::Event timer_changed_;
    bool stopping_ = false;
};

} // namespace narrowlink::gateway

// Theory of operation
//
// direct::Node decides everything; here are the sockets, the clock and the router.
//
// Egress runs timers, probes and trains in one loop, because all of them use the same sockets. A
// socket that would block stops the loop: the trains that follow wait in QUIC, where the congestion
// control counts them.

#include "narrowlink/drive/direct_node.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/together.hpp"

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace narrowlink::drive {
namespace {

/// What one system call sends: no IPv4 or IPv6 datagram may be longer, udp(7).
constexpr std::size_t train_size = 65'487;

} // namespace

DirectNode::DirectNode(net::any_io_executor executor, control::Role role, Owner& owner,
                       Random& random, PortMappingMode port_mapping)
    : owner_{&owner}
    , egress_{executor}
    , sockets_{executor,
               [this](direct::SocketId socket, const io::UdpSocket::Arrival& arrival) {
                   core_.handle_train(io::now(), socket, arrival.from,
                                      {arrival.train, arrival.segment_size, arrival.ecn});
                   egress_.set();
               }}
    , core_{role, sockets_, *this, random}
    , mapper_{executor, port_mapping, random, [this] { owner_->handle_addresses_changed(); }}
    , block_(train_size)
{
}

net::awaitable<void> DirectNode::run()
{
    auto egress = egress_loop();
    auto mapping = mapper_.run();
    auto body = io::together(std::move(egress), std::move(mapping));
    auto running = sockets_.run(std::move(body));
    co_await std::move(running);
}

control::Candidates DirectNode::candidates() const
{
    return core_.candidates(io::interface_addresses(), mapper_.mapping(), mapper_.external_ip());
}

// ---- commands

void DirectNode::observe(const control::Observe& message, const IpAddress& gateway)
{
    core_.observe(message, gateway);
    map_port();
    egress_.set();
}

void DirectNode::survey(const control::SurveyRequest& request)
{
    core_.survey(io::now(), request);
    egress_.set();
}

void DirectNode::handle_nat(const control::NatDescription& nat)
{
    io::log_event(LogLevel::debug, "nat_surveyed", "family", static_cast<unsigned>(nat.family),
                  "nat", nat.text);
    nats_[nat.family] = nat.text;
    core_.handle_nat(nat);
}

std::string DirectNode::nat() const
{
    std::string text;
    for (const auto& [family, nat] : nats_) {
        if (!text.empty())
            text += "; ";
        if (nats_.size() > 1)
            text += family == control::Family::v4 ? "IPv4: " : "IPv6: ";
        text += nat;
    }
    return text;
}

void DirectNode::punch(const control::Punch& message, direct::CarriedPair& pair)
{
    core_.punch(io::now(), message, pair, io::connected_prefixes());
    egress_.set();
}

void DirectNode::aim(const control::Aim& message, direct::CarriedPair& pair)
{
    core_.aim(io::now(), message, pair);
    egress_.set();
}

void DirectNode::relay(direct::CarriedPair& pair, const wire::RelayTag& tag)
{
    core_.relay(io::now(), pair, tag);
    egress_.set();
}

void DirectNode::handle_unreachable(const control::Unreachable& message, direct::CarriedPair& pair)
{
    core_.handle_unreachable(message, pair);
}

void DirectNode::forget(direct::CarriedPair& pair)
{
    core_.forget(io::now(), pair);
}

void DirectNode::handle_network_changed()
{
    core_.handle_network_changed(io::now());
    map_port();
    owner_->handle_addresses_changed();
    egress_.set();
}

void DirectNode::map_port()
{
    if (const std::uint16_t port = core_.main_port(true); port != 0)
        mapper_.begin(port);
}

// ---- what the core says

void DirectNode::handle_meeting_due(direct::CarriedPair& pair)
{
    owner_->handle_meeting_due(pair);
}

void DirectNode::handle_survey_answer(const control::SurveyAnswer& answer)
{
    owner_->handle_survey_answer(answer);
}

void DirectNode::handle_punched(direct::CarriedPair& pair, std::uint32_t attempt, bool opened)
{
    owner_->handle_punched(pair, attempt, opened);
}

void DirectNode::handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened& opened)
{
    io::log_event(LogLevel::debug, "way_opened", "remote", to_string(opened.remote.address), "kind",
                  nat::to_string(opened.remote.kind), "rtt", opened.rtt.value_or(Duration{}));
}

void DirectNode::handle_relay_opened(direct::CarriedPair&, const SocketAddress& gateway)
{
    io::log_event(LogLevel::debug, "udp_relay_offered", "gateway", to_string(gateway));
}

// ---- out

net::awaitable<void> DirectNode::egress_loop()
{
    for (;;) {
        core_.handle_timeout(io::now());
        auto round = send_one_round();
        if (co_await std::move(round)) {
            co_await net::post(net::use_awaitable); // packets may have come in meanwhile
            continue;
        }
        auto waiting = egress_.wait_until(core_.deadline());
        co_await std::move(waiting);
    }
}

/// One train of each way. False when none had any.
net::awaitable<bool> DirectNode::send_one_round()
{
    bool sent = false;
    for (std::size_t left = core_.way_count(); left > 0; --left) {
        const direct::Train train = core_.poll_transmit(io::now(), block_);
        const auto socket = train.size > 0 ? sockets_.find(train.way.socket) : nullptr;
        sent = sent || train.size > 0;
        if (!socket)
            continue;
        Bytes rest = Bytes{block_}.first(train.size);
        const io::UdpSocket::SendOptions mark{.from = {}, .ecn = train.ecn};
        for (;;) {
            rest = rest.subspan(socket->try_send(train.way.remote, rest, train.segment_size, mark));
            if (rest.empty() || !core_.has_way(train.way))
                break; // sent, or the way was closed meanwhile
            auto waiting = socket->writable();
            try {
                co_await std::move(waiting);
            } catch (const boost::system::system_error&) {
                if (socket->is_open())
                    throw;
            }
        }
    }
    co_return sent;
}

} // namespace narrowlink::drive

// Theory of operation
//
// direct::Node decides everything; here are the sockets, the clock and the router.
//
// Egress is advance(): timers, probes and trains together, because all of them use the same
// sockets. It runs where the reason for it comes up, at the end of an arrival or within wake(): to
// wake a coroutine for each train and each acknowledgement costs a sixth of the throughput. The
// egress loop does the rest: what would keep others waiting for too long, timers, and sockets that
// would block. A train that waits for its socket stops everything: those that follow wait in QUIC,
// where the congestion control counts them.
//
// The core tells its owner and the pairs what has happened, and those may call wake(): busy_.

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

constexpr int rounds_at_once = 8; ///< then whatever else this thread has to do

} // namespace

DirectNode::DirectNode(net::any_io_executor executor, control::Role role, Owner& owner,
                       Random& random, PortMappingMode port_mapping)
    : owner_{&owner}
    , egress_{executor}
    , sockets_{executor,
               [this](direct::SocketId socket, std::span<const io::UdpSocket::Arrival> arrivals) {
                   receive(socket, arrivals);
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

template <class Command>
void DirectNode::tell_core(Command command)
{
    const bool was_busy = std::exchange(busy_, true);
    command();
    busy_ = was_busy;
    egress_.set();
}

void DirectNode::observe(const control::Observe& message, const IpAddress& gateway)
{
    tell_core([&] { core_.observe(message, gateway); });
    map_port();
}

void DirectNode::survey(const control::SurveyRequest& request)
{
    tell_core([&] { core_.survey(io::now(), request); });
}

void DirectNode::handle_nat(const control::NatDescription& nat)
{
    io::log_event(LogLevel::debug, "nat_surveyed", "family", static_cast<unsigned>(nat.family),
                  "nat", nat.text);
    nats_[nat.family] = nat.text;
    tell_core([&] { core_.handle_nat(nat); });
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
    tell_core([&] { core_.punch(io::now(), message, pair, io::connected_prefixes()); });
}

void DirectNode::aim(const control::Aim& message, direct::CarriedPair& pair)
{
    tell_core([&] { core_.aim(io::now(), message, pair); });
}

void DirectNode::relay(direct::CarriedPair& pair, const wire::RelayTag& tag)
{
    tell_core([&] { core_.relay(io::now(), pair, tag); });
}

void DirectNode::handle_unreachable(const control::Unreachable& message, direct::CarriedPair& pair)
{
    tell_core([&] { core_.handle_unreachable(message, pair); });
}

void DirectNode::forget(direct::CarriedPair& pair)
{
    tell_core([&] { core_.forget(io::now(), pair); });
}

void DirectNode::handle_network_changed()
{
    tell_core([&] { core_.handle_network_changed(io::now()); });
    map_port();
    owner_->handle_addresses_changed();
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

// ---- in

void DirectNode::receive(direct::SocketId socket, std::span<const io::UdpSocket::Arrival> arrivals)
{
    busy_ = true;
    for (const io::UdpSocket::Arrival& arrival : arrivals)
        core_.handle_train(io::now(), socket, arrival.from,
                           {arrival.train, arrival.segment_size, arrival.ecn});
    busy_ = false;
    send_at_once();
}

// ---- out

void DirectNode::wake(std::optional<path::CarrierKind> kind)
{
    if (kind == path::CarrierKind::websocket_relay)
        return;
    if (busy_)
        woken_ = true;
    else if (kind)
        send_at_once();
    else
        egress_.set();
}

void DirectNode::send_at_once()
{
    woken_ = false;
    int rounds = 0;
    while (rest_.empty() && rounds < rounds_at_once && advance())
        ++rounds;
    const bool is_done = rest_.empty() && rounds < rounds_at_once && !woken_;
    if (!is_done || core_.deadline() < armed_until_)
        egress_.set();
}

net::awaitable<void> DirectNode::egress_loop()
{
    for (;;) {
        if (!rest_.empty()) {
            auto waiting = wait_for_room();
            co_await std::move(waiting);
            continue;
        }
        woken_ = false;
        if (advance() || woken_) {
            co_await net::post(net::use_awaitable); // packets may have come in meanwhile
            continue;
        }
        armed_until_ = core_.deadline();
        auto waiting = egress_.wait_until(armed_until_);
        co_await std::move(waiting);
    }
}

/// False when there was nothing to send.
bool DirectNode::advance()
{
    busy_ = true;
    core_.handle_timeout(io::now());
    const bool sent = send_one_round();
    busy_ = false;
    return sent;
}

/// One train of each way.
bool DirectNode::send_one_round()
{
    bool sent = false;
    for (std::size_t left = core_.way_count(); left > 0 && rest_.empty(); --left) {
        train_ = core_.poll_transmit(io::now(), block_);
        rest_ = Bytes{block_}.first(train_.size);
        sent = sent || !rest_.empty();
        send_rest();
    }
    return sent;
}

/// Leaves in rest_ what the socket has no room for.
void DirectNode::send_rest()
{
    if (rest_.empty())
        return;
    const auto socket = sockets_.find(train_.way.socket);
    const io::UdpSocket::SendOptions mark{.from = {}, .ecn = train_.ecn};
    rest_ = socket ? rest_.subspan(socket->try_send(train_.way.remote, rest_,
                                                    train_.segment_size, mark))
                   : Bytes{};
}

net::awaitable<void> DirectNode::wait_for_room()
{
    if (const auto socket = sockets_.find(train_.way.socket)) {
        auto waiting = socket->writable();
        try {
            co_await std::move(waiting);
        } catch (const boost::system::system_error&) {
            if (socket->is_open())
                throw;
        }
    }
    if (core_.has_way(train_.way))
        send_rest();
    else
        rest_ = {}; // the way was closed meanwhile
}

} // namespace narrowlink::drive

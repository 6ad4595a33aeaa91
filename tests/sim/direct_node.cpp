// Theory of operation
//
// The loops of src/drive/direct_node.cpp as callbacks. Not played: the question to the home's
// router (NAT-PMP), and sockets that would block.

#include "direct_node.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::sim {
namespace {

constexpr std::size_t train_size = 65'487;

} // namespace

DirectNode::DirectNode(World& world, Host& host, control::Role role, Owner& owner)
    : world_{&world}
    , host_{&host}
    , role_{role}
    , core_{role, *this, owner, world.cores}
    , block_(train_size)
    , timer_{world, [this] { run(); }}
{
}

template <class Command>
void DirectNode::tell_core(Command command)
{
    const bool was_busy = std::exchange(busy_, true);
    command();
    busy_ = was_busy;
    wake();
}

std::optional<std::uint16_t> DirectNode::open(direct::SocketId id, bool v4)
{
    auto socket = host_->open(v4);
    socket->set_sink([this, id](const SocketAddress& from, Bytes datagram) {
        tell_core([&] {
            core_.handle_train(world_->now(), id, from, {datagram, datagram.size()});
        });
    });
    const std::uint16_t port = socket->port();
    sockets_.emplace(id, std::move(socket));
    return port;
}

void DirectNode::close(direct::SocketId id)
{
    sockets_.erase(id);
}

void DirectNode::send(direct::SocketId id, const SocketAddress& to, Bytes datagram,
                      std::uint8_t ttl)
{
    sockets_.at(id)->send(to, datagram, ttl);
}

control::Candidates DirectNode::candidates() const
{
    return core_.candidates(host_->addresses());
}

// ---- commands

void DirectNode::observe(const control::Observe& message)
{
    tell_core([&] { core_.observe(message, {}); });
}

void DirectNode::survey(const control::SurveyRequest& request)
{
    tell_core([&] { core_.survey(world_->now(), request); });
}

void DirectNode::handle_nat(const control::NatDescription& nat)
{
    world_->note("{}: {}", to_string(role_), nat.text);
    tell_core([&] { core_.handle_nat(nat); });
}

void DirectNode::punch(const control::Punch& message, direct::CarriedPair& pair)
{
    unreachable_.clear();
    tell_core([&] { core_.punch(world_->now(), message, pair); });
}

void DirectNode::aim(const control::Aim& message, direct::CarriedPair& pair)
{
    tell_core([&] { core_.aim(world_->now(), message, pair); });
}

void DirectNode::relay(direct::CarriedPair& pair, const wire::RelayTag& tag)
{
    tell_core([&] { core_.relay(world_->now(), pair, tag); });
}

void DirectNode::handle_unreachable(const control::Unreachable& message, direct::CarriedPair& pair)
{
    tell_core([&] { core_.handle_unreachable(message, pair); });
    unreachable_ = message.message;
}

void DirectNode::forget(direct::CarriedPair& pair)
{
    tell_core([&] { core_.forget(world_->now(), pair); });
}

void DirectNode::handle_network_changed()
{
    tell_core([&] { core_.handle_network_changed(world_->now()); });
}

// ---- the loop

void DirectNode::wake(std::optional<path::CarrierKind> kind)
{
    if (kind == path::CarrierKind::websocket_relay)
        return;
    if (kind && !busy_)
        return run();
    if (woken_)
        return;
    woken_ = true;
    world_->post(life_, [this] {
        woken_ = false;
        run();
    });
}

void DirectNode::run()
{
    busy_ = true;
    do
        core_.handle_timeout(world_->now());
    while (send_one_round());
    busy_ = false;
    timer_.expires_at(core_.deadline());
}

bool DirectNode::send_one_round()
{
    bool sent = false;
    for (std::size_t left = core_.way_count(); left > 0; --left) {
        const direct::Train train = core_.poll_transmit(world_->now(), block_);
        sent = sent || train.size > 0;
        Bytes rest = Bytes{block_}.first(train.size);
        while (!rest.empty() && core_.has_way(train.way)) {
            const Bytes datagram = rest.first(std::min(rest.size(), train.segment_size));
            sockets_.at(train.way.socket)->send(train.way.remote, datagram);
            rest = rest.subspan(datagram.size());
        }
    }
    return sent;
}

} // namespace narrowlink::sim

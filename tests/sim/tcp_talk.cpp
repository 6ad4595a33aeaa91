#include "tcp_talk.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace narrowlink::sim {
namespace {

Pattern pattern_of(const Plan& plan, bool upload)
{
    return Pattern{(std::uint64_t{plan.id} * 2 + (upload ? 1 : 0)) << 40};
}

} // namespace

TcpTalk::TcpTalk(World& world, Stream stream, Side side, Conversation& conversation,
                 std::function<void()> over)
    : Talk{world, std::move(stream), side, conversation, std::move(over)}
    , incoming_{pattern_of(plan(), !at_client() || plan().kind == Plan::Kind::echo)}
    , outgoing_{pattern_of(plan(), at_client() || plan().kind == Plan::Kind::echo)}
    , pace_{at_client() ? plan().client_pace : plan().agent_pace}
    , reset_after_{at_client() ? plan().client_resets_after : plan().agent_resets_after}
{
}

std::uint64_t TcpTalk::total() const
{
    return at_client() || plan().kind == Plan::Kind::echo ? plan().upload : plan().download;
}

std::uint64_t TcpTalk::expected() const
{
    return at_client() && plan().kind != Plan::Kind::echo ? plan().download : plan().upload;
}

std::uint64_t TcpTalk::permitted() const
{
    if (plan().kind == Plan::Kind::echo)
        return at_client() ? std::min(total(), mine_->received + plan().echo_window)
                           : mine_->received;
    const auto waits =
        at_client() ? Plan::Order::client_after_agent : Plan::Order::agent_after_client;
    return plan().order == waits && !receive_ended_ ? 0 : total();
}

void TcpTalk::go_on()
{
    receive();
    if (is_over())
        return;
    send();
    stream_.driver->settle();
    end_if_done();
}

void TcpTalk::receive()
{
    std::array<Bytes, 16> spans;
    std::uint64_t left =
        pace_.is_slow() ? pace_.bytes_per_turn : std::numeric_limits<std::uint64_t>::max();
    if (world_.now() < next_turn_)
        left = 0;
    while (left > 0) {
        const std::size_t count = connection().received(stream_.id, spans);
        if (count == 0)
            break;
        std::size_t taken = 0;
        for (const Bytes span : std::span{spans}.first(count)) {
            const Bytes part = span.first(std::min<std::uint64_t>(span.size(), left));
            check(part);
            taken += part.size();
            left -= part.size();
        }
        connection().consume(stream_.id, taken);
        stream_.driver->settle();
        note_progress();
        if (is_over())
            return;
    }
    if (pace_.is_slow() && left == 0 && world_.now() >= next_turn_) {
        next_turn_ = world_.now() + pace_.pause;
        pause(pace_.pause);
    }
    if (reset_after_ && mine_->received >= *reset_after_) {
        connection().reset(stream_.id, quic::h3_connect_error);
        stream_.driver->settle();
        end(Ending::resetting);
        return;
    }
    if (!receive_ended_ && connection().receive_ended(stream_.id)) {
        receive_ended_ = true;
        note_progress();
        if (mine_->received != expected())
            world_.fail(fmt::format("stream {}: {} has {} bytes at its end instead of {}",
                                    plan().id, at_client() ? "client" : "agent", mine_->received,
                                    expected()));
    }
}

void TcpTalk::check(Bytes bytes)
{
    if (const auto wrong = incoming_.find_wrong(mine_->received, bytes))
        world_.fail(fmt::format("stream {}: {} got a wrong byte at offset {}", plan().id,
                                at_client() ? "client" : "agent", mine_->received + *wrong));
    mine_->received += bytes.size();
    if (mine_->received > expected())
        world_.fail(fmt::format("stream {}: {} got more than {} bytes", plan().id,
                                at_client() ? "client" : "agent", expected()));
}

void TcpTalk::send()
{
    while (mine_->sent < permitted()) {
        const std::size_t space = connection().send_space(stream_.id);
        if (space == 0)
            return;
        const MutableBytes block = connection().send_block(stream_.id);
        const std::size_t n =
            std::min<std::uint64_t>({space, block.size(), permitted() - mine_->sent});
        outgoing_.fill(mine_->sent, block.first(n));
        connection().send_committed(stream_.id, n);
        mine_->sent += n;
    }
    if (mine_->sent == total() && !send_ended_) {
        send_ended_ = true;
        connection().shutdown_send(stream_.id);
    }
}

void TcpTalk::end_if_done()
{
    if (!is_over() && send_ended_ && receive_ended_)
        end(Ending::clean);
}

} // namespace narrowlink::sim

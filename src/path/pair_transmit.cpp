// What goes out by which carrier; pair.cpp has the theory of operation.
//
// Two carriers may have something to send at the same time: challenges and answers for the one that
// is being validated come up while the other is asked. They wait in waiting_, and take_wake() tells.

#include "narrowlink/path/pair.hpp"

#include <algorithm>

namespace narrowlink::path {
namespace {

constexpr std::size_t most_waiting = 16;

} // namespace

void Pair::keep(const quic::Connection::Transmit& train, Bytes block)
{
    if (waiting_.size() == most_waiting)
        return; // lost, like any packet
    const Bytes bytes = block.first(train.size);
    waiting_.push_back(
        {train.path, train.segment_size, train.ecn, {bytes.begin(), bytes.end()}});
    wake_ = true;
}

quic::Connection::Transmit Pair::take(quic::PathId path, MutableBytes block)
{
    const auto it = std::ranges::find(waiting_, path, &Waiting::path);
    if (it == waiting_.end() || it->bytes.size() > block.size())
        return {};
    const quic::Connection::Transmit train{it->bytes.size(), it->segment_size, path, it->ecn};
    std::ranges::copy(it->bytes, block.begin());
    waiting_.erase(it);
    return train;
}

quic::Connection::Transmit Pair::poll_transmit(Instant now, CarrierId id, MutableBytes block)
{
    const auto known = carriers_.find(id);
    if (known == carriers_.end())
        return {};
    const quic::PathId path = path_of(id, known->second.carrier);
    if (carrier_of(path) != id)
        return {}; // a newer session's carrier has taken its place
    if (!waiting_.empty())
        if (const auto train = take(path, block); train.size > 0)
            return train;
    while (path == connection_.current_path() || answer_due_) {
        const bool in_use = path == connection_.current_path();
        const auto train = in_use ? connection_.poll_transmit(now, block)
                                  : connection_.poll_control(now, block);
        if (train.size == 0) {
            answer_due_ = answer_due_ && in_use;
            break;
        }
        observe(now);
        settle(now);
        if (train.path == path)
            return train;
        keep(train, block);
    }
    return {};
}

} // namespace narrowlink::path

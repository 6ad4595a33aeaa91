// Theory of operation
//
// Goal: a session that is slower than its peers costs bounded memory and bounded delay, and takes
// nothing from other sessions; within a session no pair takes all from another.
//
// Data flow
//   offer_text → texts_ ─────────────────────────────┐
//   offer → pairs_[handle].messages, turns_ ─────────┴─→ poll → socket → handle_written → meter_
//
// Turns: deficit round robin (Shreedhar and Varghese 1995) with a quantum of one largest message. A
// pair keeps its place in front while its credit pays for its next message, then goes to the back.
// A pair that has nothing left loses its credit.
//
// Limits: per pair queue_time at the measured rate, within pair_least and pair_most. A socket that
// takes nothing for longer than its rate promises lowers the rate at once, not only when it moves
// again. Memory counts whole blocks, because a train of one small packet occupies one like a full
// one; a pair gets at most as much as is free (dynamic threshold, Choudhury and Hahne 1998), so
// that one pair alone leaves half of it to others.
//
// Entries of pairs_ stay while they are empty, so that a pair that comes and goes with each packet
// allocates nothing; forget() ends them. A message that was on its way from another thread while
// its pair ended makes an entry once more. So when there are twice as many as after the last sweep,
// the empty ones go.

#include "narrowlink/relay/queue.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace narrowlink::relay {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::size_t quantum = wire::max_relay_message;

std::size_t memory_of(const Buffer& message)
{
    return std::max(message.block_size(), message.size());
}

/// Own messages are well-formed; a defect of ours must not become a crash in a counter.
void count(Volume& volume, const Buffer& message)
{
    if (const auto frame = wire::decode_relay_frame(message.bytes()))
        volume.add(*frame);
    else
        ++volume.packets;
}

} // namespace

EgressQueue::EgressQueue(Config config)
    : config_{config}
    , meter_{{.most_bytes_per_second =
                  static_cast<double>(config.pair_most) / Seconds{config.queue_time}.count()}}
{
}

bool EgressQueue::offer(Instant now, PairHandle handle, Buffer&& message)
{
    Pair& pair = find_pair(handle);
    const std::size_t memory = memory_of(message);
    const bool fits = pair.messages.empty() || pair.bytes + message.size() <= pair_limit(now);
    if (!fits || memory_ + memory > config_.memory_most ||
        pair.memory + memory > config_.memory_most - memory_) {
        count(counters_.dropped, message);
        return false;
    }
    if (pair.messages.empty())
        turns_.push_back(handle);
    pair.bytes += message.size();
    pair.memory += memory;
    memory_ += memory;
    pair.messages.push_back(std::move(message));
    return true;
}

EgressQueue::Pair& EgressQueue::find_pair(PairHandle handle)
{
    const auto known = pairs_.find(handle);
    if (known != pairs_.end())
        return known->second;
    if (pairs_.size() >= sweep_above_) {
        std::erase_if(pairs_, [](const auto& entry) { return entry.second.messages.empty(); });
        sweep_above_ = std::max(least_sweep, 2 * pairs_.size());
    }
    return pairs_[handle];
}

bool EgressQueue::offer_text(std::string text)
{
    if (texts_.size() >= config_.texts_most ||
        text_bytes_ + text.size() > config_.text_bytes_most) {
        overflowed_ = true;
        return false;
    }
    text_bytes_ += text.size();
    texts_.push_back(std::move(text));
    return true;
}

std::optional<EgressQueue::Item> EgressQueue::poll(Instant now)
{
    if (!texts_.empty()) {
        Item item{std::move(texts_.front())};
        texts_.pop_front();
        const std::size_t size = std::get<std::string>(item).size();
        text_bytes_ -= size;
        ++counters_.texts;
        note_polled(now, size);
        return item;
    }
    std::optional<Item> item = poll_message();
    if (item)
        note_polled(now, std::get<Buffer>(*item).size());
    return item;
}

std::optional<EgressQueue::Item> EgressQueue::poll_message()
{
    if (turns_.empty())
        return std::nullopt;
    // Ends: a pair in front without enough credit gets a quantum, and that pays for any message.
    Pair* pair = &pairs_.at(turns_.front());
    if (pair->credit < pair->messages.front().size())
        pair->credit += quantum;

    Buffer message = std::move(pair->messages.front());
    pair->messages.pop_front();
    pair->bytes -= message.size();
    pair->memory -= memory_of(message);
    memory_ -= memory_of(message);
    pair->credit -= std::min(pair->credit, message.size());
    count(counters_.sent, message);

    if (pair->messages.empty()) {
        pair->credit = 0;
        turns_.pop_front();
    } else if (pair->credit < pair->messages.front().size()) {
        turns_.push_back(turns_.front());
        turns_.pop_front();
    }
    return Item{std::move(message)};
}

void EgressQueue::note_polled(Instant now, std::size_t bytes)
{
    if (on_the_way_ == 0) {
        writing_since_ = now;
        backlogged_ = !empty();
    }
    on_the_way_ += bytes;
}

void EgressQueue::handle_written(Instant now, std::size_t bytes)
{
    if (backlogged_)
        meter_.add(bytes, now - writing_since_);
    on_the_way_ -= std::min(on_the_way_, bytes);
    writing_since_ = now;
    backlogged_ = on_the_way_ > 0 || !empty();
}

void EgressQueue::forget(PairHandle handle)
{
    const auto pair = pairs_.find(handle);
    if (pair == pairs_.end())
        return;
    memory_ -= pair->second.memory;
    pairs_.erase(pair);
    std::erase(turns_, handle);
}

std::size_t EgressQueue::pair_limit(Instant now) const
{
    const auto measured = meter_.bytes_per_second();
    double rate = measured.value_or(static_cast<double>(config_.pair_unmeasured) /
                                    Seconds{config_.queue_time}.count());
    if (on_the_way_ > 0 && now - writing_since_ > config_.queue_time)
        rate = std::min(rate,
                        static_cast<double>(on_the_way_) / Seconds{now - writing_since_}.count());
    const auto bytes = static_cast<std::size_t>(rate * Seconds{config_.queue_time}.count());
    return std::clamp(bytes, config_.pair_least, config_.pair_most);
}

} // namespace narrowlink::relay

// Offers, polls, writes and forgets in any order and checks that nothing is lost, invented or
// reordered, and that the limits hold. Input: steps `u8 action, u8 detail, u16 detail`.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/relay/queue.hpp"

#include <cstdlib>
#include <deque>
#include <map>

using namespace narrowlink;
using namespace narrowlink::relay;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

class World {
public:
    void step(Reader& in)
    {
        const std::uint8_t action = in.u8();
        const PairHandle handle{in.u8() % 4U};
        const std::uint16_t detail = in.u16();
        switch (action % 8) {
        case 0: {
            const bool taken = queue_.offer_text(std::string(detail % 512, 't'));
            texts_ += taken;
            require(taken || queue_.overflowed());
            break;
        }
        case 1: now_ += std::chrono::microseconds{detail}; break;
        case 2:
        case 3: poll(); break;
        case 4: {
            const std::size_t bytes = on_the_way_ < detail ? on_the_way_ : detail;
            queue_.handle_written(now_, bytes);
            on_the_way_ -= bytes;
            break;
        }
        case 5:
            queue_.forget(handle);
            model_.erase(handle);
            break;
        default: offer(handle, detail % 8'192 + std::size_t{1}); break;
        }
        const std::size_t limit = queue_.pair_limit(now_);
        require(limit >= config_.pair_least && limit <= config_.pair_most);
        check_empty();
    }

    void finish()
    {
        while (!queue_.empty())
            poll();
        check_empty();
        require(!queue_.poll(now_));
    }

private:
    void offer(PairHandle handle, std::size_t size)
    {
        Buffer message{wire::RelayHeader::size, size};
        message.commit(size);
        wire::prepend(message, {.segment_size = 1'200, .handle = handle});
        const std::size_t waiting = waiting_for(handle);
        if (queue_.offer(now_, handle, std::move(message))) {
            model_[handle].push_back(size);
            require(waiting == 0 || waiting_for(handle) <= config_.pair_most);
            std::size_t memory = 0;
            for (const auto& [pair, sizes] : model_)
                memory += waiting_for(pair);
            require(memory <= config_.memory_most);
        } else {
            require(message.has_block());
        }
    }

    void poll()
    {
        const auto item = queue_.poll(now_);
        require(item.has_value() != was_empty_);
        if (!item)
            return;
        if (const auto* text = std::get_if<std::string>(&*item)) {
            require(texts_-- > 0);
            on_the_way_ += text->size();
            return;
        }
        require(texts_ == 0); // control goes first
        const Bytes message = std::get<Buffer>(*item).bytes();
        const auto frame = wire::decode_relay_frame(message);
        std::deque<std::size_t>& sizes = model_.at(frame->header.handle);
        require(sizes.front() == frame->payload.size());
        sizes.pop_front();
        on_the_way_ += message.size();
        check_empty();
    }

    void check_empty()
    {
        was_empty_ = texts_ == 0;
        for (const auto& [handle, sizes] : model_)
            was_empty_ = was_empty_ && sizes.empty();
        require(queue_.empty() == was_empty_);
    }

    std::size_t waiting_for(PairHandle handle)
    {
        std::size_t bytes = 0;
        for (const std::size_t size : model_[handle])
            bytes += size + wire::RelayHeader::size;
        return bytes;
    }

    EgressQueue::Config config_{.pair_least = 4'096,
                                .pair_most = 32'768,
                                .pair_unmeasured = 8'192,
                                .memory_most = 65'536,
                                .texts_most = 8,
                                .text_bytes_most = 1'024};
    EgressQueue queue_{config_};
    Instant now_{std::chrono::hours{1}};
    std::map<PairHandle, std::deque<std::size_t>> model_;
    int texts_ = 0;
    std::size_t on_the_way_ = 0;
    bool was_empty_ = true;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    World world;
    while (!in.done() && in.ok())
        world.step(in);
    world.finish();
    return 0;
}

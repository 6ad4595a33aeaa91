#include "narrowlink/base/byte_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace narrowlink {
namespace {

std::vector<std::byte> joined(std::span<const Bytes> spans)
{
    std::vector<std::byte> bytes;
    for (const Bytes span : spans)
        bytes.insert(bytes.end(), span.begin(), span.end());
    return bytes;
}

/// The queue beside the plainest model of it; every step is compared.
class Compared {
public:
    explicit Compared(std::uint64_t seed) : random_{seed} {}

    void step()
    {
        switch (below(8)) {
        case 0: append(below(100)); break;
        case 1: append(below(10'000)); break;
        case 2: fill(false); break;
        case 3: fill(true); break;
        case 4:
        case 5: read(below(4), below(6'000)); break;
        case 6: release(below(queue_.size() + 1)); break;
        default:
            below(50) == 0 ? clear() : release(std::min<std::size_t>(queue_.size(), below(300)));
        }
        compare();
    }

private:
    /// Bytes that were read and not released: they may not move or change.
    struct Held {
        std::size_t begin; ///< counted from the first byte ever
        Bytes bytes;
    };

    std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

    void put(std::byte value) { model_.push_back(value); }

    void append(std::size_t n)
    {
        std::vector<std::byte> bytes(n);
        for (std::byte& b : bytes) {
            b = static_cast<std::byte>(random_());
            put(b);
        }
        queue_.append(bytes);
    }

    void fill(bool whole)
    {
        const MutableBytes room = queue_.block();
        ASSERT_GE(room.size(), 512U) << "a system call is worth no less";
        const std::size_t n = whole ? room.size() : below(room.size() + 1);
        for (std::byte& b : room.first(n)) {
            b = static_cast<std::byte>(random_());
            put(b);
        }
        queue_.commit(n);
    }

    void read(std::size_t most_spans, std::size_t most)
    {
        std::vector<Bytes> spans(most_spans);
        const std::size_t before = queue_.unread();
        const std::size_t count = queue_.read(spans, most);
        ASSERT_LE(count, spans.size());
        spans.resize(count);
        const std::vector<std::byte> bytes = joined(spans);
        ASSERT_LE(bytes.size(), most);
        ASSERT_EQ(queue_.unread(), before - bytes.size());
        ASSERT_EQ(bytes.empty(), before == 0 || most == 0 || most_spans == 0);
        ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), model_.begin() + offset(cursor_)));
        for (const Bytes span : spans) {
            ASSERT_FALSE(span.empty());
            held_.push_back({cursor_, span});
            cursor_ += span.size();
        }
    }

    void release(std::size_t n)
    {
        queue_.release(n);
        model_.erase(model_.begin(), model_.begin() + static_cast<std::ptrdiff_t>(n));
        released_ += n;
        cursor_ = std::max(cursor_, released_);
        std::erase_if(held_, [this](const Held& held) {
            return held.begin + held.bytes.size() <= released_;
        });
    }

    void clear()
    {
        queue_.clear();
        released_ += model_.size();
        cursor_ = released_;
        model_.clear();
        held_.clear();
    }

    void compare()
    {
        ASSERT_EQ(queue_.size(), model_.size());
        ASSERT_EQ(queue_.unread(), model_.size() - (cursor_ - released_));
        std::vector<Bytes> spans(below(3) == 0 ? 2 : 4'096);
        spans.resize(queue_.peek(spans));
        const std::vector<std::byte> first = joined(spans);
        ASSERT_TRUE(first.size() == model_.size() || spans.size() == 2);
        ASSERT_TRUE(std::equal(first.begin(), first.end(), model_.begin()));
        for (const Held& held : held_) {
            const std::size_t gone = std::max(held.begin, released_) - held.begin;
            const Bytes rest = held.bytes.subspan(gone);
            ASSERT_TRUE(
                std::equal(rest.begin(), rest.end(), model_.begin() + offset(held.begin + gone)));
        }
    }

    [[nodiscard]] std::ptrdiff_t offset(std::size_t position) const
    {
        return static_cast<std::ptrdiff_t>(position - released_);
    }

    std::mt19937_64 random_;
    BufferPool pool_{16, 4'096, 3};
    ByteQueue queue_{pool_};
    std::vector<std::byte> model_;
    std::vector<Held> held_;
    std::size_t cursor_ = 0, released_ = 0;
};

TEST(ByteQueue, AgreesWithTheModelWhateverIsDoneToIt)
{
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Compared compared{seed};
        for (int i = 0; i < 200 && !testing::Test::HasFatalFailure(); ++i)
            compared.step();
        if (testing::Test::HasFatalFailure())
            return;
    }
}

TEST(ByteQueue, IsEmptyAtFirst)
{
    BufferPool pool{0, 4'096, 1};
    ByteQueue queue{pool};
    std::array<Bytes, 2> spans;
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.unread(), 0U);
    EXPECT_EQ(queue.read(spans, 100), 0U);
    EXPECT_EQ(queue.peek(spans), 0U);
    queue.release(0);
    queue.append({});
    EXPECT_EQ(queue.size(), 0U);
}

TEST(ByteQueue, TakesLargeBlocksOnlyAfterALargeFill)
{
    BufferPool pool{0, 65'536, 1};
    ByteQueue queue{pool};
    EXPECT_EQ(queue.block().size(), 2'048U) << "an idle queue costs little";
    queue.commit(2'048);
    EXPECT_EQ(queue.block().size(), 65'536U) << "there is more where this came from";
    queue.commit(100);
    queue.release(2'148);
    EXPECT_EQ(queue.block().size(), 2'048U);
}

TEST(ByteQueue, GivesItsBlocksBackToThePool)
{
    BufferPool pool{0, 4'096, 4};
    std::byte* block = nullptr;
    {
        ByteQueue queue{pool};
        queue.append(std::vector<std::byte>(4'096));
        std::array<Bytes, 1> spans;
        queue.peek(spans);
        block = const_cast<std::byte*>(spans[0].data());
    }
    Buffer again = pool.take();
    EXPECT_EQ(again.tailroom().data(), block);
}

TEST(ByteQueue, MovesWithItsBytesAndItsCursor)
{
    BufferPool pool{0, 4'096, 1};
    ByteQueue queue{pool};
    queue.append(as_bytes("hello world"));
    std::array<Bytes, 1> spans;
    queue.read(spans, 6);
    ByteQueue moved{std::move(queue)};
    EXPECT_EQ(moved.size(), 11U);
    EXPECT_EQ(moved.unread(), 5U);
    ASSERT_EQ(moved.read(spans, 100), 1U);
    EXPECT_EQ(as_text(spans[0]), "world");
}

TEST(ByteQueue, AppendsBulkToLargeBlocksAndLittleToSmallOnes)
{
    BufferPool pool{0, 16'384, 4};
    ByteQueue queue{pool};
    const auto append_packets = [&queue](int count) {
        for (int i = 0; i < count; ++i)
            queue.append(std::vector<std::byte>(1'400));
    };
    append_packets(1);
    EXPECT_LT(queue.block().size(), 2'048U);
    append_packets(99);
    std::array<Bytes, 64> spans;
    EXPECT_LE(queue.peek(spans), 11U) << "few buffers for a system call";
    queue.release(queue.size());
    append_packets(1);
    EXPECT_GT(queue.block().size(), 2'048U) << "as much may come again";
    queue.release(queue.size());
    append_packets(1);
    EXPECT_LT(queue.block().size(), 2'048U) << "it did not";
}

} // namespace
} // namespace narrowlink

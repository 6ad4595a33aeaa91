#include "narrowlink/relay/queue.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::relay {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1'000h};
constexpr PairHandle red{1}, blue{2}, green{3};
constexpr std::size_t full_train = 60'000;

Buffer train(PairHandle handle, std::size_t payload = full_train, std::size_t capacity = 65'528)
{
    Buffer buffer{wire::RelayHeader::size, capacity};
    buffer.commit(payload);
    wire::prepend(buffer, {.segment_size = 1'500, .handle = handle});
    return buffer;
}

/// Offers full trains until one is dropped; how many went in.
int fill(EgressQueue& queue, PairHandle handle, Instant now = start)
{
    int taken = 0;
    while (queue.offer(now, handle, train(handle)))
        ++taken;
    return taken;
}

PairHandle handle_of(const EgressQueue::Item& item)
{
    return wire::decode_relay_frame(std::get<Buffer>(item).bytes())->header.handle;
}

std::size_t size_of(const EgressQueue::Item& item)
{
    if (const auto* text = std::get_if<std::string>(&item))
        return text->size();
    return std::get<Buffer>(item).size();
}

/// Writes for `duration` at `rate`, with red never running out; the time when it ended.
Instant write_backlogged(EgressQueue& queue, Instant now, Duration duration,
                         double bytes_per_second)
{
    const Instant end = now + duration;
    while (now < end) {
        fill(queue, red, now);
        const auto item = queue.poll(now);
        const double seconds = static_cast<double>(size_of(*item)) / bytes_per_second;
        now += std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
        queue.handle_written(now, size_of(*item));
    }
    return now;
}

TEST(EgressQueue, KeepsTheOrderOfEachPair)
{
    EgressQueue queue{{}};
    for (std::size_t size = 1; size <= 5; ++size)
        ASSERT_TRUE(queue.offer(start, red, train(red, size)));
    for (std::size_t size = 1; size <= 5; ++size)
        EXPECT_EQ(size_of(*queue.poll(start)), wire::RelayHeader::size + size);
    EXPECT_FALSE(queue.poll(start));
    EXPECT_TRUE(queue.empty());
}

TEST(EgressQueue, SendsTextsBeforeAllElse)
{
    EgressQueue queue{{}};
    queue.offer(start, red, train(red));
    queue.offer_text("first");
    queue.offer_text("second");
    EXPECT_EQ(std::get<std::string>(*queue.poll(start)), "first");
    EXPECT_EQ(std::get<std::string>(*queue.poll(start)), "second");
    EXPECT_EQ(handle_of(*queue.poll(start)), red);
}

TEST(EgressQueue, ReportsThatTextsDoNotFitAnyMore)
{
    EgressQueue by_count{{.texts_most = 2}};
    EXPECT_TRUE(by_count.offer_text("a"));
    EXPECT_TRUE(by_count.offer_text("b"));
    EXPECT_FALSE(by_count.overflowed());
    EXPECT_FALSE(by_count.offer_text("c"));
    EXPECT_TRUE(by_count.overflowed());

    EgressQueue by_bytes{{.text_bytes_most = 10}};
    EXPECT_TRUE(by_bytes.offer_text("123456789"));
    EXPECT_FALSE(by_bytes.offer_text("12"));
    EXPECT_TRUE(by_bytes.overflowed());
}

TEST(EgressQueue, TakesTextsAgainAfterSomeWereSent)
{
    EgressQueue queue{{.text_bytes_most = 10}};
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(queue.offer_text("1234567890"));
        ASSERT_TRUE(queue.poll(start));
    }
}

TEST(EgressQueue, LetsPairsTakeTurnsByBytes)
{
    EgressQueue queue{{}};
    for (int i = 0; i < 4; ++i)
        queue.offer(start, red, train(red, full_train));
    for (int i = 0; i < 16; ++i)
        queue.offer(start, blue, train(blue, full_train / 4, full_train / 4));
    std::map<PairHandle, std::size_t> sent;
    for (int i = 0; i < 10; ++i) {
        const auto item = queue.poll(start);
        sent[handle_of(*item)] += size_of(*item);
    }
    EXPECT_NEAR(static_cast<double>(sent[red]), static_cast<double>(sent[blue]),
                static_cast<double>(wire::max_relay_message));
}

TEST(EgressQueue, ServesASparsePairWithinOneTurnOfABulkyOne)
{
    EgressQueue queue{{}};
    fill(queue, red);
    ASSERT_TRUE(queue.poll(start));
    queue.offer(start, blue, train(blue, 100));
    EXPECT_EQ(handle_of(*queue.poll(start)), red) << "what its turn still had";
    EXPECT_EQ(handle_of(*queue.poll(start)), blue);
}

TEST(EgressQueue, DropsTheNewestAndLeavesItWithTheCaller)
{
    EgressQueue queue{{.pair_least = 100'000, .pair_most = 100'000, .pair_unmeasured = 100'000}};
    ASSERT_TRUE(queue.offer(start, red, train(red, 50'000)));
    Buffer refused = train(red, 60'000);
    EXPECT_FALSE(queue.offer(start, red, std::move(refused)));
    EXPECT_TRUE(refused.has_block());
    EXPECT_EQ(queue.counters().dropped, (Volume{.packets = 40, .bytes = 60'000}));
    EXPECT_EQ(size_of(*queue.poll(start)), 50'008U);
    EXPECT_FALSE(queue.poll(start));
    EXPECT_EQ(queue.counters().sent, (Volume{.packets = 34, .bytes = 50'000}));
}

TEST(EgressQueue, BoundsEachPairByTimeAtTheMeasuredRate)
{
    EgressQueue queue{{}};
    EXPECT_EQ(queue.pair_limit(start), 512U * 1024);

    Instant now = write_backlogged(queue, start, 2s, 20e6);
    EXPECT_NEAR(*queue.bytes_per_second(), 20e6, 1e6);
    EXPECT_NEAR(static_cast<double>(queue.pair_limit(now)), 20e6 * 0.05, 0.05e6);

    now = write_backlogged(queue, now, 2s, 1e6);
    EXPECT_NEAR(*queue.bytes_per_second(), 1e6, 0.1e6);
    EXPECT_EQ(queue.pair_limit(now), 128U * 1024) << "the least";

    now = write_backlogged(queue, now, 2s, 1e9);
    EXPECT_NEAR(static_cast<double>(queue.pair_limit(now)), 4.0 * 1024 * 1024, 1) << "the most";
}

TEST(EgressQueue, NoticesASlowerNetworkWithinASecond)
{
    EgressQueue queue{{}};
    Instant now = write_backlogged(queue, start, 1s, 1e9);
    now = write_backlogged(queue, now, 1s, 2e6);
    EXPECT_LT(*queue.bytes_per_second(), 4e6);
}

TEST(EgressQueue, LearnsNothingFromWritesWithoutABacklog)
{
    EgressQueue queue{{}};
    Instant now = start;
    for (int i = 0; i < 10'000; ++i) {
        queue.offer(now, red, train(red, 100));
        const auto item = queue.poll(now);
        now += 10ms;
        queue.handle_written(now, size_of(*item));
    }
    EXPECT_FALSE(queue.bytes_per_second());
}

TEST(EgressQueue, LearnsTheSameWhenManyItemsAreWrittenAtOnce)
{
    EgressQueue queue{{}};
    Instant now = start;
    for (int i = 0; i < 100; ++i) {
        fill(queue, red, now);
        std::size_t bytes = 0;
        for (int j = 0; j < 4; ++j)
            if (const auto item = queue.poll(now))
                bytes += size_of(*item);
        now += 20ms;
        queue.handle_written(now, bytes);
    }
    EXPECT_NEAR(*queue.bytes_per_second(), 4 * 60'008 / 0.02, 1e5);
}

TEST(EgressQueue, LowersItsLimitWhileASocketTakesNothing)
{
    EgressQueue queue{{}};
    const Instant now = write_backlogged(queue, start, 1s, 1e9);
    fill(queue, red, now);
    ASSERT_TRUE(queue.poll(now));
    EXPECT_NEAR(static_cast<double>(queue.pair_limit(now + 50ms)), 4.0 * 1024 * 1024, 1);
    EXPECT_EQ(queue.pair_limit(now + 500ms), 128U * 1024);
}

TEST(EgressQueue, LeavesMemoryForOthersBesideAPairThatIsFull)
{
    constexpr std::size_t block = 65'536;
    EgressQueue queue{{.pair_least = 1 << 30,
                       .pair_most = 1 << 30,
                       .pair_unmeasured = 1 << 30,
                       .memory_most = 64 * block}};
    EXPECT_EQ(fill(queue, red), 32);
    EXPECT_EQ(fill(queue, blue), 16);
    EXPECT_EQ(fill(queue, green), 8);
}

TEST(EgressQueue, CountsTheBlockOfASmallMessageAsMemory)
{
    EgressQueue queue{{.memory_most = 64 * 65'536}};
    int taken = 0;
    while (queue.offer(start, red, train(red, 10)))
        ++taken;
    EXPECT_EQ(taken, 32);
}

TEST(EgressQueue, ForgetsAPair)
{
    EgressQueue queue{{}};
    queue.offer(start, red, train(red));
    queue.offer(start, blue, train(blue));
    queue.forget(red);
    EXPECT_EQ(handle_of(*queue.poll(start)), blue);
    EXPECT_TRUE(queue.empty());
    queue.forget(red);
    queue.forget(blue);
    EXPECT_EQ(fill(queue, green), 8) << "the memory is free again: 512 KiB";
}

TEST(EgressQueue, KeepsWhatWaitsWhenItSweepsPairsThatNobodyForgot)
{
    EgressQueue queue{{}};
    queue.offer(start, red, train(red, 1, 1));
    for (std::uint32_t n = 10; n < 1'000; ++n) {
        queue.offer(start, PairHandle{n}, train(PairHandle{n}, 2, 2));
        ASSERT_TRUE(queue.poll(start));
        queue.offer(start, red, train(red, 1, 1));
    }
    std::size_t waiting = 0;
    while (queue.poll(start))
        ++waiting;
    EXPECT_EQ(waiting, 1'000U - 9);
}

TEST(EgressQueue, AlwaysTakesOneMessageOfAnIdlePair)
{
    EgressQueue queue{{.pair_least = 1, .pair_most = 1, .pair_unmeasured = 1}};
    EXPECT_TRUE(queue.offer(start, red, train(red)));
    EXPECT_FALSE(queue.offer(start, red, train(red)));
}

} // namespace
} // namespace narrowlink::relay

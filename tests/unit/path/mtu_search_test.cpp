#include "narrowlink/path/mtu_search.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace narrowlink::path {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A way that takes datagrams up to a size, with an answer after `round_trip`.
struct Way {
    std::size_t takes;
    Duration round_trip = milliseconds{20};
    Instant now{seconds{1'000}};
    MtuSearch search{now, true};
    std::vector<std::pair<Instant, std::size_t>> answers;
    unsigned probes = 0;

    void run_until(Instant end, bool sends_large_packets)
    {
        while (now < end) {
            if (sends_large_packets)
                search.handle_large_packets(now);
            search.handle_timeout(now);
            while (const auto size = search.poll_transmit()) {
                ++probes;
                if (*size <= takes)
                    answers.emplace_back(now + round_trip, *size);
            }
            while (!answers.empty() && answers.front().first <= now) {
                search.handle_answer(now, answers.front().second);
                answers.erase(answers.begin());
            }
            now += milliseconds{5};
        }
    }

    void run(Duration time, bool sends_large_packets = false)
    {
        run_until(now + time, sends_large_packets);
    }
};

} // namespace

TEST(MtuSearch, FindsWhatEthernetTakesInOneRoundTrip)
{
    Way way{.takes = 1'472};
    EXPECT_EQ(way.search.mtu(), MtuSearch::base);
    way.run(milliseconds{30});
    EXPECT_EQ(way.search.mtu(), 1'472U);
}

TEST(MtuSearch, LeavesRoomForTheHeadersOfIPv6)
{
    const Instant now{seconds{1}};
    MtuSearch search{now, false};
    search.handle_timeout(now);
    std::vector<std::size_t> sizes;
    while (const auto size = search.poll_transmit())
        sizes.push_back(*size);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{1'232, 1'352, 1'372, 1'444, 1'452, 8'952, 16'368}));
}

TEST(MtuSearch, IsContentWithTheBaseAndAsksLessAndLess)
{
    Way way{.takes = 1'200};
    constexpr unsigned search = 3 * 7; // three of each size
    way.run(seconds{5}, true);
    EXPECT_EQ(way.probes, search);
    way.run(seconds{1'200}, true);
    EXPECT_EQ(way.search.mtu(), MtuSearch::base);
    EXPECT_EQ(way.probes, search * 8U) << "5, 10, 20, ... 640 s, at most 600 s, between them";
    const unsigned before = way.probes;
    way.run(seconds{1'200}, true);
    EXPECT_EQ(way.probes, before + search * 2U);
}

TEST(MtuSearch, FindsTheSizeSoonAfterTheWayWasDead)
{
    Way way{.takes = 0};
    way.run(seconds{8});
    way.takes = 1'472;
    way.run(seconds{10});
    EXPECT_EQ(way.search.mtu(), 1'472U);
}

TEST(MtuSearch, AsksAgainForWhatIsLargerAfterTenMinutes)
{
    Way way{.takes = 1'392};
    way.run(seconds{300});
    EXPECT_EQ(way.search.mtu(), 1'392U);
    way.takes = 9'000;
    way.run(seconds{200});
    EXPECT_EQ(way.search.mtu(), 1'392U);
    way.run(seconds{110});
    EXPECT_EQ(way.search.mtu(), 8'972U);
}

TEST(MtuSearch, ConfirmsOnlyWhileLargePacketsAreSent)
{
    Way way{.takes = 1'472};
    way.run(seconds{10});
    const unsigned found_with = way.probes;
    way.run(seconds{60});
    EXPECT_EQ(way.probes, found_with);
    way.run(seconds{60}, true);
    EXPECT_NEAR(way.probes - found_with, 12, 2);
    EXPECT_EQ(way.search.mtu(), 1'472U);
}

TEST(MtuSearch, FallsBackWhenTheWayTakesLessAndFindsTheNewSize)
{
    Way way{.takes = 1'472};
    way.run(seconds{10}, true);
    ASSERT_EQ(way.search.mtu(), 1'472U);
    way.takes = 1'400;
    const Instant latest = way.now + seconds{7};
    while (way.search.mtu() != MtuSearch::base && way.now < latest)
        way.run(milliseconds{5}, true);
    EXPECT_EQ(way.search.mtu(), MtuSearch::base);
    way.run(seconds{3}, true);
    EXPECT_EQ(way.search.mtu(), 1'392U);
}

TEST(MtuSearch, ADoubtIsSettledWithinASecond)
{
    Way way{.takes = 1'472};
    way.run(seconds{10});
    way.takes = 1'400;
    way.search.handle_doubt(way.now);
    way.run(milliseconds{800});
    EXPECT_EQ(way.search.mtu(), MtuSearch::base);
    way.run(seconds{3});
    EXPECT_EQ(way.search.mtu(), 1'392U);
}

TEST(MtuSearch, ASizeThatHoldsIsDoubtedOnceASecondAtMost)
{
    Way way{.takes = 1'472};
    way.run(seconds{10});
    const unsigned before = way.probes;
    for (int i = 0; i < 1'000; ++i) {
        if (way.now >= way.search.may_doubt_at())
            way.search.handle_doubt(way.now);
        way.run(milliseconds{10});
    }
    EXPECT_NEAR(way.probes - before, 10, 1);
    EXPECT_EQ(way.search.mtu(), 1'472U);
}

TEST(MtuSearch, AWayThatWasLeftIsKnownAgainBeforeTheConnectionComesBack)
{
    Way way{.takes = 1'472};
    way.run(milliseconds{100}); // still searching for larger ones
    way.takes = 1'400;
    way.search.handle_left(way.now);
    way.run(seconds{1});
    EXPECT_EQ(way.search.mtu(), MtuSearch::base);
}

TEST(MtuSearch, TheBaseIsNotDoubted)
{
    Way way{.takes = 1'200};
    way.run(seconds{3});
    const unsigned before = way.probes;
    EXPECT_EQ(way.search.may_doubt_at(), never);
    way.search.handle_doubt(way.now);
    way.search.handle_left(way.now);
    way.run(seconds{1});
    EXPECT_EQ(way.probes, before);
}

TEST(MtuSearch, OneLostConfirmationChangesNothing)
{
    Way way{.takes = 1'472};
    way.run(seconds{4}, true);
    for (int i = 0; i < 10; ++i) {
        const unsigned before = way.probes;
        way.takes = 0;
        while (way.probes == before)
            way.run(milliseconds{5}, true);
        way.takes = 1'472;
        way.run(seconds{3}, true);
        EXPECT_EQ(way.search.mtu(), 1'472U);
    }
}

TEST(MtuSearch, BelievesOnlyInSizesItAskedFor)
{
    const Instant now{seconds{1}};
    MtuSearch search{now, true};
    search.handle_timeout(now);
    EXPECT_FALSE(search.handle_answer(now, 60'000));
    EXPECT_FALSE(search.handle_answer(now, 1'300));
    EXPECT_FALSE(search.handle_answer(now, 0));
    EXPECT_EQ(search.mtu(), MtuSearch::base);
    EXPECT_TRUE(search.handle_answer(now, 1'472));
    EXPECT_FALSE(search.handle_answer(now, 1'252)) << "it knows better";
    EXPECT_EQ(search.mtu(), 1'472U);
}

} // namespace narrowlink::path

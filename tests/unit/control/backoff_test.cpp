#include "narrowlink/control/backoff.hpp"
#include "samples.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>

#include <set>

namespace narrowlink::control {
namespace {

using namespace std::chrono_literals;

constexpr Backoff::Config without_jitter{.first = 100ms, .most = 30s, .factor = 2, .jitter = 0};

TEST(Backoff, DoublesUpToItsCeiling)
{
    SeededRandom random{1};
    Backoff backoff{without_jitter};
    for (const Duration expected : {100ms, 200ms, 400ms, 800ms, 1'600ms, 3'200ms, 6'400ms, 12'800ms,
                                    25'600ms, 30'000ms, 30'000ms})
        EXPECT_EQ(backoff.next(random), expected);
}

TEST(Backoff, BeginsAgainAfterReset)
{
    SeededRandom random{1};
    Backoff backoff{without_jitter};
    for (int i = 0; i < 20; ++i)
        backoff.next(random);
    backoff.reset();
    EXPECT_EQ(backoff.next(random), 100ms);
}

TEST(Backoff, StaysWithinItsJitterAndUsesBothSidesOfIt)
{
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SeededRandom random{seed};
        Backoff backoff{{.first = 1s, .most = 1s, .factor = 2, .jitter = 0.25}};
        bool shorter = false, longer = false;
        for (int i = 0; i < 100; ++i) {
            const Duration wait = backoff.next(random);
            ASSERT_GE(wait, 750ms);
            ASSERT_LE(wait, 1'250ms);
            shorter = shorter || wait < 900ms;
            longer = longer || wait > 1'100ms;
        }
        EXPECT_TRUE(shorter && longer) << seed;
    }
}

TEST(Backoff, ObeysALoweredCeilingAtOnce)
{
    SeededRandom random{1};
    Backoff backoff{without_jitter};
    for (int i = 0; i < 20; ++i)
        backoff.next(random);
    backoff.set_most(1s);
    EXPECT_EQ(backoff.next(random), 1s);
}

TEST(Backoff, ApproachesARaisedCeilingFromTheOldOne)
{
    SeededRandom random{1};
    Backoff backoff{{.first = 100ms, .most = 1s, .factor = 2, .jitter = 0}};
    for (int i = 0; i < 20; ++i)
        backoff.next(random);
    backoff.set_most(30s);
    EXPECT_EQ(backoff.next(random), 1s);
    EXPECT_EQ(backoff.next(random), 2s);
    EXPECT_EQ(backoff.next(random), 4s);
}

} // namespace
} // namespace narrowlink::control

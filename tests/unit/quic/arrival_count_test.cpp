#include "arrival_count.hpp"

#include <gtest/gtest.h>

namespace narrowlink::quic {
namespace {

/// All packets of a connection but those that `is_lost` names, with numbers of two bytes.
template <class Lost>
ArrivalCount count(std::uint64_t packets, Lost is_lost)
{
    ArrivalCount arrivals;
    for (std::uint64_t number = 0; number < packets; ++number)
        if (!is_lost(number))
            arrivals.handle(number & 0xffff, 16);
    return arrivals;
}

} // namespace

TEST(ArrivalCount, NothingIsMissingWhenAllHasArrived)
{
    const ArrivalCount arrivals = count(200'000, [](std::uint64_t) { return false; });
    EXPECT_EQ(arrivals.arrived(), 200'000U);
    EXPECT_EQ(arrivals.missing(), 0U);
}

TEST(ArrivalCount, CountsWhatHasNotArrived)
{
    const ArrivalCount arrivals = count(200'000, [](std::uint64_t number) { return number % 10 == 5; });
    EXPECT_EQ(arrivals.arrived(), 180'000U);
    EXPECT_NEAR(static_cast<double>(arrivals.missing()), 20'000, 20) << "less what may have been skipped";
}

// As ngtcp2 1.22 does it.
TEST(ArrivalCount, NumbersThatTheSenderSkipsAreNotMissing)
{
    for (const std::uint64_t dice : {32U, 127U, 255U}) {
        ArrivalCount arrivals;
        std::uint64_t gap = dice + 1, skipped = gap + 3;
        for (std::uint64_t number = 0; number < 200'000; ++number) {
            if (number != skipped)
                arrivals.handle(number & 0xffff, 16);
            else
                skipped += (gap *= 2) + 3;
            ASSERT_EQ(arrivals.missing(), 0U) << "after " << number << ", dice " << dice;
        }
    }
}

TEST(ArrivalCount, APacketThatWasOvertakenIsNotMissingAnyMore)
{
    ArrivalCount arrivals;
    for (const std::uint64_t number : {250U, 251U, 254U, 255U, 256U, 257U, 252U})
        arrivals.handle(number & 0xff, 8);
    EXPECT_EQ(arrivals.missing(), 1U);
    arrivals.handle(253, 8);
    EXPECT_EQ(arrivals.missing(), 0U);
}

TEST(ArrivalCount, AnEmptyOneKnowsNothing)
{
    EXPECT_EQ(ArrivalCount{}.arrived(), 0U);
    EXPECT_EQ(ArrivalCount{}.missing(), 0U);
}

} // namespace narrowlink::quic

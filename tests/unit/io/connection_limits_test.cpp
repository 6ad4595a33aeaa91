#include "narrowlink/io/connection_limits.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

class Limits : public testing::Test {
protected:
    bool admit(const char* source, Duration at = 0s)
    {
        const auto ip = source == nullptr ? std::nullopt : IpAddress::parse(source);
        auto place = limits_->admit(Instant{} + 1h + at, ip);
        if (!place)
            return false;
        places_.push_back(std::move(place));
        return true;
    }

    std::shared_ptr<ConnectionLimits> limits_ =
        std::make_shared<ConnectionLimits>(ConnectionQuota{.connections = 6,
                                                           .unauthenticated = 4,
                                                           .unauthenticated_per_source = 2,
                                                           .new_per_second_per_source = 3});
    std::vector<std::shared_ptr<ConnectionLimits::Place>> places_;
};

TEST_F(Limits, AdmitsASourceUpToItsShare)
{
    EXPECT_TRUE(admit("192.0.2.1"));
    EXPECT_TRUE(admit("192.0.2.1"));
    EXPECT_FALSE(admit("192.0.2.1"));
    EXPECT_TRUE(admit("192.0.2.2"));
    EXPECT_EQ(limits_->counters().refused_by_source, 1U);
}

TEST_F(Limits, TakesAnIpv6NetworkForOneSource)
{
    EXPECT_TRUE(admit("2001:db8::1"));
    EXPECT_TRUE(admit("2001:db8::ffff:0:0:2"));
    EXPECT_FALSE(admit("2001:db8::3"));
    EXPECT_TRUE(admit("2001:db8:0:1::1"));
}

TEST_F(Limits, GivesAPlaceBackWhenTheConnectionEnds)
{
    EXPECT_TRUE(admit("192.0.2.1"));
    EXPECT_TRUE(admit("192.0.2.1"));
    places_.clear();
    EXPECT_EQ(limits_->counters().connections, 0U);
    EXPECT_EQ(limits_->counters().unauthenticated, 0U);
    EXPECT_TRUE(admit("192.0.2.1"));
}

TEST_F(Limits, BoundsTheNewConnectionsOfASourceWithinASecond)
{
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(admit("192.0.2.1"));
        places_.clear();
    }
    EXPECT_FALSE(admit("192.0.2.1", 999ms));
    EXPECT_TRUE(admit("192.0.2.1", 1s));
}

TEST_F(Limits, BoundsTheUnauthenticatedOfAllSources)
{
    for (const char* source : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"})
        EXPECT_TRUE(admit(source));
    EXPECT_FALSE(admit("192.0.2.5"));
    EXPECT_EQ(limits_->counters().refused_in_total, 1U);
    places_.front()->authenticate();
    EXPECT_TRUE(admit("192.0.2.5"));
}

TEST_F(Limits, BoundsAllConnections)
{
    for (const char* source :
         {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"}) {
        EXPECT_TRUE(admit(source));
        places_.back()->authenticate();
    }
    EXPECT_FALSE(admit("192.0.2.7"));
    places_.pop_back();
    EXPECT_TRUE(admit("192.0.2.7"));
}

TEST_F(Limits, GivesAnAuthenticatedPlaceBackOnce)
{
    EXPECT_TRUE(admit("192.0.2.1"));
    places_.back()->authenticate();
    places_.back()->authenticate();
    places_.clear();
    EXPECT_EQ(limits_->counters().connections, 0U);
    EXPECT_EQ(limits_->counters().unauthenticated, 0U);
}

TEST_F(Limits, LeavesTrustedProxiesToTheTotals)
{
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(admit(nullptr));
    EXPECT_FALSE(admit(nullptr));
    EXPECT_EQ(limits_->counters().refused_by_source, 0U);
}

} // namespace
} // namespace narrowlink::io

#include "narrowlink/nat/port_lease.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>

namespace narrowlink::nat {
namespace {

using namespace std::chrono_literals;

const IpAddress router = *IpAddress::parse("192.168.1.1");
const IpAddress other_router = *IpAddress::parse("192.168.2.1");
const IpAddress external = *IpAddress::parse("203.0.113.1");

class PortLeaseTest : public testing::Test {
protected:
    /// The protocol of the request that is there, which is then answered.
    std::optional<PortMappingProtocol> answer(std::optional<RouterAnswer> with)
    {
        const auto request = lease.poll_request();
        if (!request)
            return std::nullopt;
        changed = lease.handle_answer(now, with);
        return request->protocol;
    }

    std::optional<PortMappingProtocol> grant(Duration lifetime = 10min, std::uint16_t port = 40'000)
    {
        return answer(RouterAnswer{external, port, lifetime});
    }

    /// To the next deadline; whether the mapping was lost.
    bool advance()
    {
        now = lease.deadline();
        return lease.handle_timeout(now);
    }

    Instant now{1h};
    SeededRandom random{1};
    PortLease lease{PortMappingMode::automatic, random};
    bool changed = false;
};

constexpr auto pmp = PortMappingProtocol::nat_pmp;
constexpr auto pcp = PortMappingProtocol::pcp;
constexpr auto upnp = PortMappingProtocol::upnp;

} // namespace

TEST_F(PortLeaseTest, AsksNatPmpFirstAndForTheSamePort)
{
    EXPECT_EQ(lease.deadline(), never);
    lease.begin(now, router, 50'000);
    const auto request = lease.poll_request();
    ASSERT_TRUE(request);
    EXPECT_EQ(*request, (RouterRequest{.protocol = pmp,
                                       .router = router,
                                       .internal = 50'000,
                                       .external = 50'000,
                                       .lifetime = 10min,
                                       .nonce = request->nonce}));
    EXPECT_FALSE(lease.poll_request());
    EXPECT_EQ(lease.deadline(), never) << "the answer comes, or its absence";
    EXPECT_TRUE(lease.handle_answer(now, RouterAnswer{external, 40'000, 10min}));
    EXPECT_EQ(lease.mapping(), (PortMapping{pmp, {external, 40'000}, 10min}));
    EXPECT_EQ(lease.release(), (RouterRequest{.protocol = pmp,
                                              .router = router,
                                              .internal = 50'000,
                                              .external = 40'000,
                                              .lifetime = 0s,
                                              .nonce = request->nonce}));
}

TEST_F(PortLeaseTest, FallsBackToPcpAndUpnpAndThenWaits)
{
    lease.begin(now, router, 50'000);
    EXPECT_EQ(answer(std::nullopt), pmp);
    EXPECT_EQ(answer(std::nullopt), pcp);
    EXPECT_EQ(answer(std::nullopt), upnp);
    EXPECT_FALSE(lease.poll_request());
    EXPECT_FALSE(lease.mapping());
    EXPECT_FALSE(lease.release());
    EXPECT_EQ(lease.deadline(), now + PortLease::retry_interval);
    advance();
    EXPECT_EQ(answer(std::nullopt), pmp);
    EXPECT_EQ(answer(std::nullopt), pcp);
    EXPECT_EQ(grant(), upnp);
    EXPECT_EQ(lease.mapping()->protocol, upnp);
}

TEST_F(PortLeaseTest, UsesOnlyWhatItMay)
{
    lease = PortLease{PortMappingMode::upnp, random};
    lease.begin(now, router, 50'000);
    EXPECT_EQ(answer(std::nullopt), upnp);
    EXPECT_FALSE(lease.poll_request());
    lease = PortLease{PortMappingMode::nat_pmp, random};
    lease.begin(now, router, 50'000);
    EXPECT_EQ(answer(std::nullopt), pmp);
    EXPECT_FALSE(lease.poll_request());
    lease = PortLease{PortMappingMode::pcp, random};
    lease.begin(now, router, 50'000);
    EXPECT_EQ(answer(std::nullopt), pcp);
    EXPECT_FALSE(lease.poll_request());
    lease = PortLease{PortMappingMode::off, random};
    lease.begin(now, router, 50'000);
    EXPECT_FALSE(lease.poll_request());
    EXPECT_EQ(lease.deadline(), never);
}

TEST_F(PortLeaseTest, RenewsAtHalfTheLifetimeWithTheSameProtocolAndPort)
{
    lease.begin(now, router, 50'000);
    answer(std::nullopt);
    answer(std::nullopt);
    grant(8min, 40'001);
    EXPECT_EQ(lease.deadline(), now + 4min);
    EXPECT_FALSE(advance());
    const auto request = lease.poll_request();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->protocol, upnp);
    EXPECT_EQ(request->external, 40'001);
    EXPECT_FALSE(lease.handle_answer(now, RouterAnswer{external, 40'001, 8min})) << "nothing new";
    EXPECT_EQ(lease.deadline(), now + 4min);
    advance();
    EXPECT_EQ(grant(8min, 40'002), upnp);
    EXPECT_TRUE(changed) << "another port";
}

TEST_F(PortLeaseTest, HasOneNonceForEachRouter) // RFC 6887 §11.2
{
    lease.begin(now, router, 50'000);
    const auto nonce = lease.poll_request()->nonce;
    EXPECT_NE(nonce, RouterRequest{}.nonce);
    lease.handle_answer(now, std::nullopt);
    EXPECT_EQ(lease.poll_request()->protocol, pcp);
    lease.handle_answer(now, RouterAnswer{external, 40'000, 10min});
    advance();
    EXPECT_EQ(lease.poll_request()->nonce, nonce) << "it is the same mapping";
    EXPECT_EQ(lease.release()->nonce, nonce);
    lease.handle_answer(now, std::nullopt);
    lease.begin(now, other_router, 50'000);
    EXPECT_NE(lease.poll_request()->nonce, nonce);
}

TEST_F(PortLeaseTest, KeepsAMappingUntilItExpiresAndThenTriesEverything)
{
    lease.begin(now, router, 50'000);
    grant(8min);
    const Instant expires = now + 8min;
    int renewals = 0;
    for (;;) {
        if (advance())
            break;
        ASSERT_TRUE(lease.mapping());
        if (answer(std::nullopt))
            ++renewals;
        ASSERT_LT(renewals, 100);
    }
    EXPECT_EQ(now, expires);
    EXPECT_FALSE(lease.mapping());
    EXPECT_FALSE(lease.external_ip());
    EXPECT_GE(renewals, 3);
    EXPECT_LE(renewals, 20);
    if (lease.deadline() != never) {
        EXPECT_LE(lease.deadline(), expires + 1min);
        advance();
    }
    EXPECT_EQ(answer(std::nullopt), pmp);
    EXPECT_EQ(answer(std::nullopt), pcp);
    EXPECT_EQ(answer(std::nullopt), upnp);
}

TEST_F(PortLeaseTest, TakesNoAddressThatCannotBe)
{
    for (const char* ip :
         {"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "2001:db8::1"}) {
        lease = PortLease{PortMappingMode::nat_pmp, random};
        lease.begin(now, router, 50'000);
        answer(RouterAnswer{*IpAddress::parse(ip), 40'000, 10min});
        EXPECT_FALSE(lease.mapping()) << ip;
        EXPECT_FALSE(lease.external_ip()) << ip;
        EXPECT_FALSE(changed) << ip;
    }
}

TEST_F(PortLeaseTest, BoundsLifetimes)
{
    lease.begin(now, router, 50'000);
    grant(1s);
    EXPECT_EQ(lease.deadline(), now + 30s) << "a router must not keep us busy";
    advance();
    grant(std::chrono::seconds{0xffffffff});
    EXPECT_EQ(lease.deadline(), now + 12h);
    advance();
    grant(0s);
    EXPECT_EQ(lease.deadline(), now + 5min) << "for ever: it is looked after all the same";
}

TEST_F(PortLeaseTest, KnowsTheRoutersAddressAlsoWithoutAMapping)
{
    const IpAddress inside = *IpAddress::parse("100.64.0.3");
    lease.begin(now, router, 50'000);
    EXPECT_EQ(answer(RouterAnswer{.external_ip = inside}), pmp);
    EXPECT_TRUE(changed);
    EXPECT_EQ(lease.external_ip(), inside);
    EXPECT_EQ(answer(std::nullopt), pcp) << "another protocol may map";
    EXPECT_EQ(answer(std::nullopt), upnp);
    EXPECT_FALSE(lease.mapping());
    EXPECT_EQ(lease.external_ip(), inside);
}

TEST_F(PortLeaseTest, AsksAtOnceInAnotherNetworkAndForgetsThatOfBefore)
{
    lease.begin(now, router, 50'000);
    grant();
    lease.begin(now, router, 50'000);
    EXPECT_TRUE(lease.mapping()) << "still the same";
    EXPECT_EQ(grant(), pmp) << "but asked again: the router may have been restarted";
    lease.begin(now, other_router, 50'000);
    EXPECT_FALSE(lease.mapping());
    const auto request = lease.poll_request();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->router, other_router);
}

TEST_F(PortLeaseTest, IgnoresTheAnswerOfANetworkThatItHasLeft)
{
    lease.begin(now, router, 50'000);
    EXPECT_TRUE(lease.poll_request());
    lease.begin(now, other_router, 50'000);
    EXPECT_FALSE(lease.poll_request()) << "one at a time";
    EXPECT_FALSE(lease.handle_answer(now, RouterAnswer{external, 40'000, 10min}));
    EXPECT_FALSE(lease.mapping());
    const auto request = lease.poll_request();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->router, other_router);
    lease.reset();
    EXPECT_FALSE(lease.handle_answer(now, RouterAnswer{external, 40'000, 10min}));
    EXPECT_FALSE(lease.mapping());
    EXPECT_EQ(lease.deadline(), never);
}

} // namespace narrowlink::nat

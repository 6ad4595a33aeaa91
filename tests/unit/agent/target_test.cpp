#include "target.hpp"

#include "narrowlink/io/clock.hpp"

#include "../io/base_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink::agent {
namespace {

using namespace std::chrono_literals;
using access::Policy;
using access::Rule;
using quic::Request;

const quic::Response denied{403, "narrowlink; error=destination_ip_prohibited"};

IpAddress ip(const char* text)
{
    return *IpAddress::parse(text);
}

Rule ip_rule(const char* prefix)
{
    return {.agent = {}, .target = *IpPrefix::parse(prefix), .port = {}, .protocol = {}};
}

Rule domain_rule(const char* pattern)
{
    return {.agent = {}, .target = std::string{pattern}, .port = {}, .protocol = {}};
}

access::PolicySet white(std::vector<Rule> rules)
{
    return access::PolicySet{
        {{.id = 1, .type = Policy::Type::white_list, .rules = std::move(rules)}}};
}

access::PolicySet black(std::vector<Rule> rules)
{
    return access::PolicySet{
        {{.id = 1, .type = Policy::Type::black_list, .rules = std::move(rules)}}};
}

Request tcp(std::string host, std::uint16_t port = 22)
{
    return {Request::Kind::tcp, {std::move(host), port}};
}

/// Names here are `localhost`, which every machine knows, and such as cannot exist (RFC 6761 §6.4):
/// nothing depends on a network.
struct ResolveTarget : testing::Test {
    Resolved resolve(const Request& request, const access::PolicySet& policies,
                     Duration within = 30s)
    {
        return io::test::run(loop, resolve_target(request, policies, "home", io::now() + within));
    }

    std::vector<IpAddress> addresses(const Request& request, const access::PolicySet& policies)
    {
        const Resolved resolved = resolve(request, policies);
        const auto* list = std::get_if<std::vector<IpAddress>>(&resolved);
        return list == nullptr ? std::vector<IpAddress>{} : *list;
    }

    quic::Response refusal(const Request& request, const access::PolicySet& policies,
                           Duration within = 30s)
    {
        const Resolved resolved = resolve(request, policies, within);
        const auto* response = std::get_if<quic::Response>(&resolved);
        return response == nullptr ? quic::Response{} : *response;
    }

    net::io_context loop{1};
    const std::vector<IpAddress> ten{ip("10.1.2.3")};
};

TEST_F(ResolveTarget, AllowsEverythingWithoutAPolicy)
{
    EXPECT_EQ(addresses(tcp("10.1.2.3"), {}), ten);
    EXPECT_EQ(addresses(tcp("2001:db8::1"), {}), std::vector{ip("2001:db8::1")});
    EXPECT_THAT(addresses(tcp("localhost"), {}), testing::Contains(ip("127.0.0.1")));
}

TEST_F(ResolveTarget, AWhiteListAllowsItsAddressesOnly)
{
    const auto policies = white({ip_rule("10.0.0.0/8"), ip_rule("2001:db8::/32")});
    EXPECT_EQ(addresses(tcp("10.1.2.3"), policies), ten);
    EXPECT_EQ(addresses(tcp("2001:db8::1"), policies), std::vector{ip("2001:db8::1")});
    EXPECT_EQ(refusal(tcp("11.0.0.1"), policies), denied);
    EXPECT_EQ(refusal(tcp("::1"), policies), denied);
}

TEST_F(ResolveTarget, AWhiteListOfNamesAllowsNoBareAddress)
{
    const auto policies = white({domain_rule("localhost")});
    EXPECT_FALSE(addresses(tcp("localhost"), policies).empty());
    EXPECT_EQ(refusal(tcp("127.0.0.1"), policies), denied);
    EXPECT_EQ(refusal(tcp("other.invalid"), policies), denied);
}

TEST_F(ResolveTarget, ANameThatNothingCouldAllowIsNotEvenLookedUp)
{
    // With a deadline in the past a lookup could only have ended in a timeout.
    EXPECT_EQ(refusal(tcp("other.invalid"), white({domain_rule("*.example")}), -1s), denied);
    EXPECT_EQ(refusal(tcp("other.invalid"), black({domain_rule("*.invalid")}), -1s), denied);
}

TEST_F(ResolveTarget, AWhiteListJudgesTheAddressesThatANameHas)
{
    EXPECT_EQ(addresses(tcp("localhost"), white({ip_rule("127.0.0.0/8")})),
              std::vector{ip("127.0.0.1")});
    EXPECT_EQ(refusal(tcp("localhost"), white({ip_rule("10.0.0.0/8")})), denied);
}

TEST_F(ResolveTarget, ABlackListTakesAwayTheAddressesThatANameHas)
{
    EXPECT_EQ(refusal(tcp("localhost"), black({ip_rule("127.0.0.0/8"), ip_rule("::1/128")})),
              denied);
    EXPECT_THAT(addresses(tcp("localhost"), black({ip_rule("127.0.0.0/8")})),
                testing::Not(testing::Contains(ip("127.0.0.1"))));
    EXPECT_EQ(addresses(tcp("10.1.2.3"), black({ip_rule("127.0.0.0/8")})), ten);
}

TEST_F(ResolveTarget, ADeniedNameIsDeniedByItsAddressesToo)
{
    const auto policies = black({domain_rule("localhost")});
    EXPECT_EQ(refusal(tcp("localhost"), policies), denied);
    EXPECT_EQ(refusal(tcp("127.0.0.1"), policies), denied);
    EXPECT_EQ(refusal(tcp("::ffff:127.0.0.1"), policies), denied);
    EXPECT_EQ(addresses(tcp("10.1.2.3"), policies), ten);
}

TEST_F(ResolveTarget, ADeniedNameThatCannotBeLookedUpDeniesEverything)
{
    EXPECT_EQ(refusal(tcp("10.1.2.3"), black({domain_rule("other.invalid")}), -1s), denied);
}

TEST_F(ResolveTarget, ARuleSpeaksOfItsPortProtocolAndAgentOnly)
{
    Rule narrow = ip_rule("10.0.0.0/8");
    narrow.port = 22;
    narrow.protocol = access::Protocol::tcp;
    narrow.agent = "home";
    EXPECT_EQ(addresses(tcp("10.1.2.3"), white({narrow})), ten);
    EXPECT_EQ(refusal(tcp("10.1.2.3", 23), white({narrow})), denied);
    EXPECT_EQ(refusal({Request::Kind::udp, {"10.1.2.3", 22}}, white({narrow})), denied);
    narrow.agent = "office";
    EXPECT_EQ(refusal(tcp("10.1.2.3"), white({narrow})), denied);
    EXPECT_EQ(addresses(tcp("10.1.2.3"), black({narrow})), ten);
}

TEST_F(ResolveTarget, EveryPolicyMustAgree)
{
    const access::PolicySet both{
        {{.id = 1, .type = Policy::Type::white_list, .rules = {ip_rule("10.0.0.0/8")}},
         {.id = 2, .type = Policy::Type::black_list, .rules = {ip_rule("10.1.0.0/16")}}}};
    EXPECT_EQ(refusal(tcp("10.1.2.3"), both), denied);
    EXPECT_EQ(addresses(tcp("10.2.0.1"), both), std::vector{ip("10.2.0.1")});
}

TEST_F(ResolveTarget, TellsANameWithoutAnAddressFromADeniedOne)
{
    EXPECT_EQ(refusal(tcp(std::string(254, 'a')), {}),
              (quic::Response{502, "narrowlink; error=dns_error"}));
    const quic::Response late = refusal(tcp("other.invalid"), {}, -1s);
    EXPECT_EQ(late, (quic::Response{504, "narrowlink; error=dns_timeout"}));
}

TEST(RefusalForDial, TellsTheReasonsApart)
{
    namespace errc = boost::system::errc;
    const auto refusal = [](errc::errc_t error) {
        return refusal_for_dial(make_error_code(error));
    };
    EXPECT_EQ(refusal(errc::connection_refused),
              (quic::Response{502, "narrowlink; error=connection_refused"}));
    EXPECT_EQ(refusal(errc::timed_out),
              (quic::Response{504, "narrowlink; error=connection_timeout"}));
    for (const auto error :
         {errc::network_unreachable, errc::host_unreachable, errc::permission_denied})
        EXPECT_EQ(refusal(error),
                  (quic::Response{502, "narrowlink; error=destination_ip_unroutable"}));
    EXPECT_EQ(refusal_for_dial(net::error::connection_refused).status, 502U);
    EXPECT_EQ(refusal_for_dial(net::error::timed_out).status, 504U);
}

} // namespace
} // namespace narrowlink::agent

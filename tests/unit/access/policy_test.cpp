#include "narrowlink/access/policy.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

#include <gmock/gmock.h>

namespace narrowlink::access {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress ip(std::string_view text)
{
    return IpAddress::parse(text).value();
}

PolicySet::Target to(std::string_view host, std::uint16_t port = 443,
                     Protocol protocol = Protocol::tcp, std::string_view agent = "home")
{
    return {.agent = agent, .host = host, .port = port, .protocol = protocol};
}

// For hosts that are addresses, or names that resolve to `address`.
bool allows(const PolicySet& set, std::string_view host, std::string_view address)
{
    return set.may_resolve(to(host)) && set.allows(to(host), ip(address));
}

bool allows(const PolicySet& set, std::string_view address)
{
    return allows(set, address, address);
}

} // namespace

TEST(DomainPattern, MatchesByTheTable)
{
    struct Row {
        std::string_view pattern, name;
        bool matches;
    };

    const Row rows[] = {
        {"example.com", "example.com", true},
        {"example.com", "EXAMPLE.Com", true},
        {"Example.COM.", "example.com", true},
        {"example.com", "example.com.", true},
        {"example.com", "example.com..", false},
        {"example.com", "a.example.com", false},
        {"example.com", "aexample.com", false},
        {"example.com", "example.com.evil.org", false},
        {"example.com", "example.org", false},
        {"*.example.com", "a.example.com", true},
        {"*.example.com", "A.b.EXAMPLE.com.", true},
        {"*.EXAMPLE.com", "a.example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "..example.com", false},
        {"*.example.com", "aexample.com", false},
        {"*.example.com", "a.example.com.evil.org", false},
        {"*", "example.com", true},
        {"*", "localhost", true},
        {"*", "", false},
        {"*", "10.0.0.1", false},
        {"*", "::1", false},
        {"*", "127.1", false},
        {"*.1", "10.0.0.1", false},
        {"10.0.0.1", "10.0.0.1", false},
        {"a.*.com", "a.b.com", false},
        {"*a.com", "ba.com", false},
        {"", "", false},
        {"*.", "a.", false},
        {"xn--bcher-kva.example", "XN--BCHER-KVA.example", true},
    };
    for (const Row& row : rows)
        EXPECT_EQ(matches_domain(row.pattern, row.name), row.matches)
            << row.pattern << ' ' << row.name;
}

TEST(PolicySet, WithoutPoliciesAllowsEverything)
{
    const PolicySet none;
    EXPECT_TRUE(allows(none, "10.0.0.1"));
    EXPECT_TRUE(allows(none, "example.com", "10.0.0.1"));
    EXPECT_THAT(none.denied_names(to("example.com")), IsEmpty());
}

TEST(WhiteList, WithoutRulesAllowsNothing)
{
    const PolicySet set{{white_list({})}};
    EXPECT_FALSE(allows(set, "10.0.0.1"));
    EXPECT_FALSE(set.may_resolve(to("example.com")));
}

TEST(BlackList, WithoutRulesDeniesNothing)
{
    const PolicySet set{{black_list({})}};
    EXPECT_TRUE(allows(set, "10.0.0.1"));
    EXPECT_TRUE(allows(set, "example.com", "10.0.0.1"));
}

TEST(WhiteList, AllowsItsAddressesHoweverTheyAreNamed)
{
    const PolicySet set{{white_list({ip_rule("10.1.0.0/16"), ip_rule("2001:db8::/32")})}};
    EXPECT_TRUE(allows(set, "10.1.2.3"));
    EXPECT_TRUE(allows(set, "::ffff:10.1.2.3", "10.1.2.3"));
    EXPECT_TRUE(allows(set, "2001:db8::1"));
    EXPECT_TRUE(allows(set, "any.example.org", "10.1.2.3"));
    EXPECT_FALSE(allows(set, "any.example.org", "10.2.2.3"));
    EXPECT_FALSE(allows(set, "10.2.2.3"));
    EXPECT_FALSE(allows(set, "2001:db9::1"));
}

TEST(WhiteList, AllowsItsNamesWhereverTheyLead)
{
    const PolicySet set{{white_list({domain_rule("*.example.com")})}};
    EXPECT_TRUE(allows(set, "a.example.com", "10.0.0.1"));
    EXPECT_TRUE(allows(set, "A.Example.COM.", "2001:db8::1"));
}

TEST(WhiteList, DoesNotLookUpNamesThatItCannotAllow)
{
    const PolicySet names{{white_list({domain_rule("*.example.com")})}};
    EXPECT_FALSE(names.may_resolve(to("example.org")));
    const PolicySet addresses{{white_list({ip_rule("10.0.0.0/8")})}};
    EXPECT_TRUE(addresses.may_resolve(to("example.org"))) << "it may lead to 10.0.0.0/8";
}

TEST(WhiteList, OfNamesDoesNotAllowTheirAddresses)
{
    for (const std::string_view pattern : {"example.com", "*.example.com", "*"}) {
        const PolicySet set{{white_list({domain_rule(std::string{pattern})})}};
        EXPECT_FALSE(allows(set, "192.0.2.1")) << pattern;
        EXPECT_FALSE(allows(set, "2001:db8::1")) << pattern;
    }
}

TEST(WhiteList, OfNamesDoesNotAllowSpellingsOfAddressesThatOnlyResolversKnow)
{
    const PolicySet set{{white_list({domain_rule("*"), ip_rule("0.0.0.0/0")})}};
    for (const std::string_view host :
         {"127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.0x1", "a.0x",
          "10.0.0", "::1%lo", "[::1]", "1.2.3.4.5", "", ".", "a b", "a/b", "a\nb"}) {
        EXPECT_FALSE(set.may_resolve(to(host))) << host;
        EXPECT_FALSE(set.allows(to(host), ip("127.0.0.1"))) << host;
    }
    EXPECT_FALSE(set.may_resolve(to({"10.0.0.1\0.example.com", 21})));
    EXPECT_TRUE(set.may_resolve(to("1.2.3.4.nip.io"))) << "an ordinary name";
    EXPECT_TRUE(set.may_resolve(to("0xa.example"))) << "an ordinary name";
}

TEST(WhiteLists, MustAllAllow)
{
    const PolicySet set{{white_list({ip_rule("10.0.0.0/8")}),
                         white_list({ip_rule("10.1.0.0/16"), domain_rule("example.com")})}};
    EXPECT_TRUE(allows(set, "10.1.0.1"));
    EXPECT_FALSE(allows(set, "10.2.0.1"));
    EXPECT_TRUE(allows(set, "example.com", "10.2.0.1"));
    EXPECT_FALSE(allows(set, "example.com", "11.0.0.1"));
}

TEST(BlackList, DeniesItsAddressesHoweverTheyAreNamed)
{
    const PolicySet set{{black_list({ip_rule("10.0.0.0/8")})}};
    EXPECT_FALSE(allows(set, "10.0.0.1"));
    EXPECT_FALSE(allows(set, "::ffff:10.0.0.1", "10.0.0.1"));
    EXPECT_FALSE(allows(set, "64:ff9b::10.0.0.1")) << "NAT64";
    EXPECT_FALSE(allows(set, "innocent.example", "10.0.0.1"));
    EXPECT_TRUE(allows(set, "innocent.example", "11.0.0.1"));
    EXPECT_TRUE(allows(set, "64:ff9b::11.0.0.1"));
}

TEST(BlackList, OfLoopbackDeniesTheUnspecifiedAddressWhichLeadsThere)
{
    const PolicySet set{{black_list({ip_rule("127.0.0.0/8"), ip_rule("::1")})}};
    EXPECT_FALSE(allows(set, "0.0.0.0"));
    EXPECT_FALSE(allows(set, "::"));
    EXPECT_FALSE(allows(set, "64:ff9b::7f00:1"));
}

TEST(BlackList, DeniesANameBeforeItIsLookedUp)
{
    const PolicySet set{{black_list({domain_rule("example.com"), domain_rule("*.example.org")})}};
    EXPECT_FALSE(set.may_resolve(to("example.com")));
    EXPECT_FALSE(set.may_resolve(to("EXAMPLE.COM.")));
    EXPECT_FALSE(set.may_resolve(to("a.b.example.org")));
    EXPECT_TRUE(set.may_resolve(to("example.org")));
    EXPECT_FALSE(set.allows(to("example.com"), ip("192.0.2.1")));
}

TEST(BlackList, OfAnExactNameDeniesItsAddressesUnderEveryOtherName)
{
    const PolicySet set{{black_list({domain_rule("example.com")})}};
    const std::vector theirs{ip("192.0.2.1"), ip("2001:db8::1")};
    for (const std::string_view host : {"192.0.2.1", "2001:db8::1", "alias.example.net"}) {
        SCOPED_TRACE(host);
        EXPECT_TRUE(set.may_resolve(to(host)));
        ASSERT_THAT(set.denied_names(to(host)), ElementsAre("example.com"));
    }
    const std::vector one{ip("192.0.2.1")};
    EXPECT_THAT(set.allowed_addresses(to("192.0.2.1"), one, theirs), IsEmpty());
    const std::vector other{ip("192.0.2.9")};
    EXPECT_THAT(set.allowed_addresses(to("192.0.2.9"), other, theirs), ElementsAre(other[0]));
    const std::vector mixed{ip("192.0.2.1"), ip("192.0.2.9"), ip("64:ff9b::192.0.2.1")};
    EXPECT_THAT(set.allowed_addresses(to("alias.example.net"), mixed, theirs),
                ElementsAre(other[0]));
}

TEST(BlackList, OfManyNamesDeniesEveryBareAddress)
{
    for (const std::string_view pattern : {"*.example.com", "*"}) {
        const PolicySet set{{black_list({domain_rule(std::string{pattern})})}};
        EXPECT_FALSE(allows(set, "192.0.2.1")) << pattern;
        EXPECT_FALSE(allows(set, "2001:db8::1")) << pattern;
        EXPECT_THAT(set.denied_names(to("192.0.2.1")), IsEmpty());
    }
    const PolicySet set{{black_list({domain_rule("*.example.com")})}};
    EXPECT_TRUE(allows(set, "example.org", "192.0.2.1")) << "a name can be compared";
}

TEST(BlackList, JudgesEveryAddressOfANameThatAWhiteListAllows)
{
    const PolicySet set{
        {white_list({domain_rule("*.example.com")}), black_list({ip_rule("10.0.0.0/8")})}};
    const std::vector resolved{ip("10.0.0.1"), ip("192.0.2.1"), ip("10.9.9.9")};
    EXPECT_THAT(set.allowed_addresses(to("a.example.com"), resolved, {}), ElementsAre(resolved[1]));
    const std::vector forbidden{ip("10.0.0.1")};
    EXPECT_THAT(set.allowed_addresses(to("a.example.com"), forbidden, {}), IsEmpty());
}

TEST(PolicySet, DoesNotBelieveThatAnAddressResolvesToAnother)
{
    const PolicySet set{{white_list({ip_rule("10.0.0.0/8")})}};
    EXPECT_FALSE(set.allows(to("192.0.2.1"), ip("10.0.0.1")));
}

TEST(PolicySet, KeepsTheOrderOfAddresses)
{
    const PolicySet set{{black_list({ip_rule("10.0.0.0/8")})}};
    const std::vector resolved{ip("2001:db8::2"), ip("192.0.2.1"), ip("2001:db8::1")};
    EXPECT_EQ(set.allowed_addresses(to("example.com"), resolved, {}), resolved);
}

TEST(DeniedNames, AreEachListedOnce)
{
    const PolicySet set{{black_list({domain_rule("a.example"), domain_rule("*.b.example")}),
                         black_list({domain_rule("a.example"), domain_rule("c.example")}),
                         white_list({domain_rule("d.example"), ip_rule("0.0.0.0/0")})}};
    EXPECT_THAT(set.denied_names(to("192.0.2.1")), ElementsAre("a.example", "c.example"));
}

TEST(Rule, SpeaksOnlyAboutItsAgentPortAndProtocol)
{
    Rule rule = ip_rule("10.0.0.0/8");
    rule.agent = "home";
    rule.port = 22;
    rule.protocol = Protocol::tcp;
    const auto ten = ip("10.0.0.1");
    const PolicySet::Target hit = to("10.0.0.1", 22, Protocol::tcp, "home");
    const PolicySet::Target misses[] = {
        to("10.0.0.1", 23, Protocol::tcp, "home"), to("10.0.0.1", 22, Protocol::udp, "home"),
        to("10.0.0.1", 22, Protocol::tcp, "office"), to("10.0.0.1", 22, Protocol::tcp, "Home")};
    const PolicySet white{{white_list({rule})}};
    const PolicySet black{{black_list({rule})}};
    EXPECT_TRUE(white.allows(hit, ten));
    EXPECT_FALSE(black.allows(hit, ten));
    for (const PolicySet::Target& miss : misses) {
        EXPECT_FALSE(white.allows(miss, ten));
        EXPECT_FALSE(white.may_resolve(miss));
        EXPECT_TRUE(black.allows(miss, ten));
        EXPECT_TRUE(black.may_resolve(miss));
    }
}

TEST(Rule, AboutANameIsScopedInDeniedNamesToo)
{
    Rule rule = domain_rule("example.com");
    rule.port = 22;
    const PolicySet set{{black_list({rule})}};
    EXPECT_THAT(set.denied_names(to("192.0.2.1", 22)), ElementsAre("example.com"));
    EXPECT_THAT(set.denied_names(to("192.0.2.1", 23)), IsEmpty());
    EXPECT_TRUE(set.may_resolve(to("example.com", 23)));

    rule.target = "*.example.com";
    const PolicySet wild{{black_list({rule})}};
    EXPECT_FALSE(wild.allows(to("192.0.2.1", 22), ip("192.0.2.1")));
    EXPECT_TRUE(wild.allows(to("192.0.2.1", 23), ip("192.0.2.1")));
}

} // namespace narrowlink::access

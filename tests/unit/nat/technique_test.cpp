#include "narrowlink/nat/technique.hpp"
#include "survey_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <utility>

namespace narrowlink::nat {
namespace {

using model::one_address;
using model::two_addresses;

constexpr std::size_t kinds = 12;

constexpr std::array<std::string_view, kinds> recipes{
    "public",
    "public_firewall",
    "full_cone",
    "address_restricted",
    "port_restricted",
    "port_restricted_open_input",
    "endpoint_independent_random",
    "address_dependent_random",
    "symmetric_sequential",
    "symmetric_block",
    "symmetric_random",
    "udp_blocked",
};

using Matrix = std::array<std::array<std::string_view, kinds>, kinds>;

// The technique that opens a path between two kinds, rows and columns in the order of `recipes`;
// diagonal ones with a 2; below the diagonal the same. Measured with nftables and namespaces.
// clang-format off
constexpr std::string_view obs = "obs", pred = "pred", pred2 = "pred2", blk = "blk", blk2 = "blk2",
                           bday = "bday", relay = "relay", same = "";
constexpr Matrix matrix{{
    // PUB    FW     FC     AR     PR     PRo    EIMr   ADM    SEQ    BLK    RND    blocked
    {{obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   relay}},
    {{same,  obs,   obs,   obs,   obs,   obs,   obs,   bday,  pred,  blk,   bday,  relay}},
    {{same,  same,  obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   relay}},
    {{same,  same,  same,  obs,   obs,   obs,   obs,   obs,   obs,   obs,   obs,   relay}},
    {{same,  same,  same,  same,  obs,   obs,   obs,   bday,  pred,  blk,   bday,  relay}},
    {{same,  same,  same,  same,  same,  obs,   obs,   bday,  pred,  blk,   bday,  relay}},
    {{same,  same,  same,  same,  same,  same,  obs,   bday,  pred,  blk,   bday,  relay}},
    {{same,  same,  same,  same,  same,  same,  same,  relay, relay, relay, relay, relay}},
    {{same,  same,  same,  same,  same,  same,  same,  same,  pred2, blk2,  relay, relay}},
    {{same,  same,  same,  same,  same,  same,  same,  same,  same,  blk2,  relay, relay}},
    {{same,  same,  same,  same,  same,  same,  same,  same,  same,  same,  relay, relay}},
    {{same,  same,  same,  same,  same,  same,  same,  same,  same,  same,  same,  relay}},
}};
// clang-format on

constexpr std::size_t adm = 7;

std::string_view expected(std::size_t a, std::size_t b)
{
    return a <= b ? matrix[a][b] : matrix[b][a];
}

std::string name_of(const Step& step)
{
    const std::string suffix = step.diagonal ? "2" : "";
    switch (step.technique) {
    case Technique::observed: return "obs" + suffix;
    case Technique::prediction: return "pred" + suffix;
    case Technique::block_spray: return "blk" + suffix;
    case Technique::birthday: return "bday" + suffix;
    case Technique::none: return "none";
    }
    return "none";
}

/// `obs obs bday`, or `relay` for nothing.
std::string names_of(const std::vector<Step>& ladder)
{
    std::string names;
    for (const Step& step : ladder)
        names += (names.empty() ? "" : " ") + name_of(step);
    return names.empty() ? "relay" : names;
}

std::array<Behaviour, kinds> survey_all(GatewayPorts gateway)
{
    std::array<Behaviour, kinds> behaviours;
    std::ranges::transform(recipes, behaviours.begin(), [&](std::string_view recipe) {
        return model::surveyed(recipe, gateway);
    });
    return behaviours;
}

Step mirrored(Step step)
{
    std::swap(step.a, step.b);
    if (step.first != First::together)
        step.first = step.first == First::a ? First::b : First::a;
    return step;
}

const Behaviour& surveyed(std::string_view recipe, GatewayPorts gateway = two_addresses)
{
    static std::map<std::pair<std::string_view, unsigned>, Behaviour> known;
    return known.emplace(std::pair{recipe, gateway.second}, model::surveyed(recipe, gateway))
        .first->second;
}

TEST(Choose, FollowsTheMatrixFromTwoAddresses)
{
    const auto behaviours = survey_all(two_addresses);
    for (std::size_t a = 0; a < kinds; ++a)
        for (std::size_t b = 0; b < kinds; ++b) {
            SCOPED_TRACE(testing::Message() << recipes[a] << " x " << recipes[b]);
            const auto ladder = choose(behaviours[a], behaviours[b]);
            EXPECT_EQ(ladder.empty() ? "relay" : name_of(ladder.front()), expected(a, b));
        }
}

TEST(Choose, FollowsTheMatrixFromOneAddressExceptWhereItCannotSeeAddressDependence)
{
    const auto behaviours = survey_all(one_address);
    for (std::size_t a = 0; a < kinds; ++a)
        for (std::size_t b = 0; b < kinds; ++b) {
            SCOPED_TRACE(testing::Message() << recipes[a] << " x " << recipes[b]);
            const auto ladder = choose(behaviours[a], behaviours[b]);
            if (a != adm && b != adm) {
                EXPECT_EQ(ladder.empty() ? "relay" : name_of(ladder.front()), expected(a, b));
            } else if (expected(a, b) == "bday") {
                EXPECT_EQ(name_of(ladder.back()), "bday") << names_of(ladder);
            } else if (expected(a, b) == "obs") {
                EXPECT_EQ(names_of(ladder), "obs obs");
            }
        }
}

TEST(Choose, SwapsPartsWithSides)
{
    for (const GatewayPorts gateway : {one_address, two_addresses}) {
        const auto behaviours = survey_all(gateway);
        for (std::size_t a = 0; a < kinds; ++a)
            for (std::size_t b = 0; b < kinds; ++b) {
                SCOPED_TRACE(testing::Message() << recipes[a] << " x " << recipes[b]);
                auto forth = choose(behaviours[a], behaviours[b]);
                std::ranges::transform(forth, forth.begin(), mirrored);
                const auto back = choose(behaviours[b], behaviours[a]);
                EXPECT_TRUE(std::ranges::is_permutation(forth, back)) << names_of(back);
                EXPECT_EQ(names_of(forth), names_of(back));
            }
    }
}

TEST(Choose, KeepsToTheLimitOfPackets)
{
    for (const GatewayPorts gateway : {one_address, two_addresses})
        for (const Behaviour& a : survey_all(gateway))
            for (const Behaviour& b : survey_all(gateway))
                for (const Step& step : choose(a, b))
                    for (const Part& part : {step.a, step.b}) {
                        EXPECT_GT(part.packets, 0U);
                        EXPECT_LE(part.packets, most_packets);
                        EXPECT_GE(part.sockets, 1U);
                        EXPECT_LE(part.sockets, 256U);
                    }
}

TEST(Choose, AssumesAddressDependenceAfterObservedHasFailed)
{
    const Behaviour firewall = surveyed("public_firewall", one_address);
    const Behaviour kept = surveyed("port_restricted", one_address);
    const Behaviour random = surveyed("endpoint_independent_random", one_address);
    EXPECT_EQ(names_of(choose(firewall, firewall)), "obs obs");
    EXPECT_EQ(names_of(choose(firewall, random)), "obs obs bday");
    EXPECT_EQ(names_of(choose(random, random)), "obs obs bday bday");

    const auto ladder = choose(random, kept);
    ASSERT_EQ(names_of(ladder), "obs obs bday bday");
    EXPECT_TRUE(ladder[2].b.sprays()) << "the side that keeps ports is hardly address-dependent";
    EXPECT_EQ(ladder[2].a.sockets, 256U);
    EXPECT_TRUE(ladder[3].a.sprays());
    EXPECT_EQ(names_of(choose(surveyed("port_restricted"), surveyed("port_restricted"))),
              "obs obs");
}

TEST(Choose, LetsThePoisonableSideSendFirst)
{
    const Behaviour& open_input = surveyed("port_restricted_open_input");
    const Behaviour& clean = surveyed("port_restricted");
    const auto ladder = choose(clean, open_input);
    EXPECT_EQ(ladder[0].first, First::b);
    EXPECT_EQ(ladder[0].a.first_ttl, 0);
    EXPECT_FALSE(ladder[0].fresh_sockets);
    EXPECT_EQ(ladder[1].first, First::a);
    EXPECT_EQ(ladder[1].a.first_ttl, 4);
    EXPECT_TRUE(ladder[1].fresh_sockets);
    EXPECT_EQ(choose(clean, clean)[0].first, First::together);
}

TEST(Choose, LimitsTheFirstPacketsIfBothSidesArePoisonableOrItIsUnknown)
{
    const Behaviour& open_input = surveyed("port_restricted_open_input");
    Behaviour unknown = surveyed("port_restricted");
    unknown.filtering = Filtering::unknown;
    for (const Behaviour& other : {open_input, unknown})
        for (const auto& ladder : {choose(open_input, other), choose(other, unknown)}) {
            EXPECT_EQ(ladder[0].first, First::together);
            EXPECT_EQ(ladder[0].a.first_ttl, 4);
            EXPECT_EQ(ladder[0].b.first_ttl, 4);
            EXPECT_EQ(ladder[0].a.packets, 7U);
            EXPECT_EQ(ladder[1].a.first_ttl, 7);
            EXPECT_EQ(ladder[1].b.first_ttl, 7);
        }
}

TEST(Choose, PredictsEightPortsOfASequentialNat)
{
    const Step step = choose(surveyed("symmetric_sequential"), surveyed("port_restricted"))[0];
    EXPECT_EQ(step.first, First::a);
    EXPECT_EQ(step.a.sockets, 1U);
    EXPECT_EQ(step.a.first_ttl, 4);
    EXPECT_EQ(step.a.retry_ttl, 64);
    EXPECT_FALSE(step.a.sprays());
    EXPECT_EQ(step.b.targets, 8U);
    EXPECT_FALSE(step.diagonal);
}

TEST(Choose, OpensWithPacketsThatDoNotReachAPoisonablePeer)
{
    const Step step =
        choose(surveyed("symmetric_random"), surveyed("port_restricted_open_input"))[0];
    EXPECT_EQ(step.a.sockets, 256U);
    EXPECT_EQ(step.a.first_ttl, 4);
    EXPECT_EQ(step.a.retry_ttl, 7);
    EXPECT_EQ(step.b.packets, most_packets);
}

TEST(Choose, SpraysTheWholeBlock)
{
    const Behaviour& block = surveyed("symmetric_block");
    const unsigned size = block.block_last - block.block_first + 1U;
    const Step against_known = choose(surveyed("port_restricted"), block)[0];
    EXPECT_EQ(against_known.a.targets, size);
    EXPECT_EQ(against_known.a.packets, size);
    EXPECT_EQ(against_known.b.sockets, 16U);

    const Step both = choose(block, block)[0];
    EXPECT_EQ(both.a.sockets, 3U);
    EXPECT_EQ(both.a.packets, std::min(3 * size, most_packets));

    const auto counted = choose(surveyed("symmetric_sequential"), block);
    ASSERT_EQ(counted.size(), 2U);
    EXPECT_EQ(counted[0].a.sockets, 1U);
    EXPECT_EQ(counted[0].b.sockets, 4U);
    EXPECT_EQ(counted[0].b.targets, size);
}

TEST(Choose, SendsToEachAddressOfAPool)
{
    const Behaviour& pool = surveyed("address_pool");
    EXPECT_EQ(names_of(choose(pool, surveyed("full_cone"))), "obs obs");
    EXPECT_EQ(names_of(choose(pool, surveyed("address_restricted"))), "obs obs");
    EXPECT_TRUE(choose(pool, surveyed("address_restricted"))[0].every_address);

    const auto ladder = choose(pool, surveyed("port_restricted"));
    ASSERT_EQ(names_of(ladder), "pred");
    EXPECT_TRUE(ladder[0].every_address);
    EXPECT_EQ(names_of(choose(pool, pool)), "relay");

    Behaviour random_pool = pool;
    random_pool.allocation = Allocation::random;
    EXPECT_EQ(names_of(choose(random_pool, surveyed("port_restricted"))), "relay");
    EXPECT_EQ(why_not(random_pool, surveyed("port_restricted")),
              "the NAT of the client changes its external address");
}

TEST(Choose, TriesWhatItKnowsNothingAbout)
{
    EXPECT_EQ(names_of(choose({}, {})), "obs obs bday bday");
    EXPECT_EQ(names_of(choose({}, surveyed("udp_443_only"))), "relay");
}

TEST(WhyNot, IsASentenceWhereNothingCanWork)
{
    const Behaviour &blocked = surveyed("udp_blocked"), &web_only = surveyed("udp_443_only"),
                    &open = surveyed("port_restricted"), &random = surveyed("symmetric_random"),
                    &dependent = surveyed("address_dependent_random"),
                    &counting = surveyed("symmetric_sequential");
    EXPECT_EQ(why_not(open, open), "");
    EXPECT_EQ(why_not(open, blocked), "UDP is blocked at the agent");
    EXPECT_EQ(why_not(blocked, open), "UDP is blocked at the client");
    EXPECT_EQ(why_not(blocked, blocked), "UDP is blocked at the client and at the agent");
    EXPECT_EQ(why_not(web_only, open),
              "UDP is blocked at the client, except to the gateway's main port");
    EXPECT_EQ(why_not(random, random), "both NATs choose ports at random");
    EXPECT_EQ(why_not(dependent, dependent), "both NATs choose another port for each address");
    EXPECT_EQ(why_not(counting, random, {.a = "\"laptop\"", .b = "\"office\""}),
              "the NAT of \"laptop\" chooses another port for each destination, and that of "
              "\"office\" chooses ports at random");
}

/// Every Behaviour there is, with nonsense in the numbers.
TEST(Choose, AlwaysHasALadderOrAReason)
{
    std::mt19937 random{1};
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    const auto any = [&] {
        return Behaviour{.reach = static_cast<Reach>(below(4)),
                         .mapping = static_cast<Mapping>(below(5)),
                         .filtering = static_cast<Filtering>(below(5)),
                         .allocation = static_cast<Allocation>(below(5)),
                         .delta = static_cast<int>(below(5)) - 2,
                         .block_first = static_cast<std::uint16_t>(random()),
                         .block_last = static_cast<std::uint16_t>(random()),
                         .address_pool = below(2) != 0,
                         .poisonable = below(2) != 0,
                         .mapping_is_a_guess = below(2) != 0};
    };
    for (int run = 0; run < 50'000; ++run) {
        const Behaviour a = any(), b = any();
        const auto ladder = choose(a, b);
        EXPECT_EQ(ladder.empty(), !why_not(a, b).empty());
        EXPECT_LE(ladder.size(), 4U);
        for (const Step& step : ladder) {
            EXPECT_NE(step.technique, Technique::none);
            EXPECT_LE(step.a.packets, most_packets);
            EXPECT_LE(step.b.packets, most_packets);
        }
    }
}

} // namespace
} // namespace narrowlink::nat

// Every kind of router before a client and every kind before an agent, from the survey to the bytes
// of a stream: is the direct path found where docs say that it can be, and is the reason told where
// not?

#include "couple.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace narrowlink::sim {
namespace {

using namespace std::chrono_literals;

/// What a cell of the matrix expects.
enum class Outcome {
    direct, ///< with every seed
    guess,  ///< by luck, which most seeds have
    either, ///< not promised
    relay,
};

/// What matters to the outcome.
enum class Group {
    open,   ///< lets in any port of an address that it has contacted, or everything
    strict, ///< known mapped address, lets in only what it has asked for
    adm,    ///< seen from one address of the gateway it is a strict one
    counted,
    block,
    random,
    pool,
    none, ///< UDP is blocked
    v6,
};

Group group_of(const NatKind& kind)
{
    if (kind.has_v6)
        return Group::v6;
    if (!kind.udp || !kind.udp_ports.empty())
        return Group::none;
    if (kind.addresses > 1)
        return Group::pool;
    if (kind.mapping == nat::Mapping::address_dependent)
        return Group::adm;
    if (kind.mapping == nat::Mapping::address_and_port_dependent)
        return kind.allocation == nat::Allocation::sequential ? Group::counted
               : kind.allocation == nat::Allocation::block    ? Group::block
                                                              : Group::random;
    return kind.filtering == nat::Filtering::address_and_port_dependent ? Group::strict
                                                                        : Group::open;
}

constexpr std::size_t groups = 9;

/// The client's group down, the agent's across; it is symmetric.
constexpr auto table = [] {
    constexpr auto yes = Outcome::direct, luck = Outcome::guess, may = Outcome::either,
                   no = Outcome::relay;
    // open strict adm counted block random pool none v6
    return std::array<std::array<Outcome, groups>, groups>{{
        {yes, yes, yes, yes, yes, yes, may, no, no},
        {yes, yes, luck, yes, yes, luck, may, no, no},
        {yes, luck, no, no, no, no, no, no, no},
        {yes, yes, no, yes, luck, no, no, no, no},
        {yes, yes, no, luck, luck, no, no, no, no},
        {yes, luck, no, no, no, no, no, no, no},
        {may, may, no, no, no, no, no, no, no},
        {no, no, no, no, no, no, no, no, no},
        {no, no, no, no, no, no, no, no, yes},
    }};
}();

Outcome expected(const NatKind& client, const NatKind& agent)
{
    return table[static_cast<std::size_t>(group_of(client))]
                [static_cast<std::size_t>(group_of(agent))];
}

/// The reason for the relay; empty where only an attempt can tell.
std::string reason(const NatKind& client, const NatKind& agent)
{
    const std::string here = "this machine", there = "the agent";
    const auto places = [&](auto applies) {
        const bool at_client = applies(client), at_agent = applies(agent);
        if (at_client && at_agent)
            return "at " + here + " and at " + there;
        return at_client ? "at " + here : at_agent ? "at " + there : "";
    };
    if (const auto at = places([](const NatKind& kind) { return !kind.udp; }); !at.empty())
        return "UDP is blocked " + at;
    if (client.has_v6 != agent.has_v6)
        return "one side has IPv4 only, the other IPv6 only";
    if (const auto at = places([](const NatKind& kind) { return !kind.udp_ports.empty(); });
        !at.empty())
        return "UDP is blocked " + at + ", except to the gateway's main port";
    // One address of the gateway cannot tell address-dependent from endpoint-independent mapping.
    if (group_of(client) == Group::adm || group_of(agent) == Group::adm)
        return "";
    const auto habit = [](const NatKind& kind, bool plural) -> std::string {
        if (group_of(kind) == Group::pool)
            return plural ? "change their external address" : "changes its external address";
        if (group_of(kind) == Group::random)
            return plural ? "choose ports at random" : "chooses ports at random";
        return plural ? "choose another port for each destination"
                      : "chooses another port for each destination";
    };
    if (habit(client, true) == habit(agent, true))
        return "both NATs " + habit(client, true);
    return "the NAT of this machine " + habit(client, false) + ", and that of the agent " +
           habit(agent, false);
}

/// 5 to 100 ms from the gateway, not the same in both directions: what the gateway believes to be
/// at the same time is off by up to half of the difference.
Couple::Line draw_line(Dice& dice)
{
    return {.up = dice.between(Duration{5ms}, 100ms),
            .down = dice.between(Duration{5ms}, 100ms),
            .jitter = dice.between(Duration{}, 10ms)};
}

struct Cell {
    unsigned direct = 0;
    Duration longest{};
};

constexpr Duration patience = 60s; ///< several rounds of attempts
constexpr Duration fast = 4s;      ///< from start to direct, where nothing has to be guessed
constexpr unsigned seeds_per_cell = 5;

} // namespace

class Matrix : public testing::TestWithParam<std::string_view> {};

TEST_P(Matrix, ReachesWhatCanBeReachedAndSaysWhyNot)
{
    const NatKind& client = nat_kind(GetParam());
    for (const NatKind& agent : nat_kinds()) {
        const Outcome outcome = expected(client, agent);
        SCOPED_TRACE(fmt::format("client behind {}, agent behind {}", client.name, agent.name));
        Cell cell;
        for (std::uint64_t seed = 1; seed <= seeds_per_cell; ++seed) {
            Dice dice{seed};
            const Couple::Line here = draw_line(dice), there = draw_line(dice);
            Couple couple{seed, client, agent, here, there};
            const Instant begin = couple.world().now();
            if (outcome == Outcome::relay) {
                const std::string why = reason(client, agent);
                if (!why.empty()) {
                    EXPECT_TRUE(couple.until_unreachable(20s)) << "seed " << seed;
                    EXPECT_EQ(couple.unreachable(), why) << "seed " << seed;
                    EXPECT_EQ(couple.obstacle(),
                              client.udp ? why
                                         : "UDP is blocked between this machine and the gateway");
                }
                couple.run_for(why.empty() ? patience : 5s);
                EXPECT_FALSE(couple.is_direct()) << "seed " << seed;
            } else {
                cell.direct += couple.until_direct(patience) ? 1 : 0;
                cell.longest = std::max(cell.longest, couple.world().now() - begin);
            }
            const bool was_direct = couple.is_direct();
            const std::uint64_t before = couple.gateway().relayed();
            EXPECT_TRUE(couple.transfer(200'000, 20s)) << "seed " << seed << '\n' << couple.trace();
            const std::uint64_t relayed = couple.gateway().relayed() - before;
            if (was_direct && outcome == Outcome::direct) {
                EXPECT_LT(relayed, 20'000U) << "seed " << seed << '\n' << couple.trace();
            } else if (outcome == Outcome::relay) {
                EXPECT_GT(relayed, 400'000U) << "seed " << seed;
            }
            ASSERT_FALSE(couple.world().has_failed()) << *couple.world().failure() << '\n'
                                                      << couple.trace();
        }
        if (outcome == Outcome::direct) {
            EXPECT_EQ(cell.direct, seeds_per_cell);
            EXPECT_LE(cell.longest, fast);
        } else if (outcome == Outcome::guess) {
            EXPECT_GE(cell.direct, seeds_per_cell - 1);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(, Matrix, testing::ValuesIn([] {
                             std::vector<std::string_view> names;
                             for (const NatKind& kind : nat_kinds())
                                 names.push_back(kind.name);
                             return names;
                         }()),
                         [](const auto& row) { return std::string{row.param}; });

} // namespace narrowlink::sim

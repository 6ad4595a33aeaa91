#include "ladder_run.hpp"
#include "narrowlink/control/ladder.hpp"

#include <gtest/gtest.h>

namespace narrowlink::control {
namespace {

struct Cell {
    std::string_view client, agent;
    Duration within; ///< once both ends are surveyed
    int of_ten = 10; ///< so many must succeed at least
};

const std::vector<Cell> cells{
    {"public", "symmetric_random", 500ms},
    {"port_restricted", "port_restricted", 200ms},
    {"port_restricted_open_input", "port_restricted", 200ms},
    {"port_restricted_open_input", "port_restricted_open_input", 200ms},
    {"full_cone", "symmetric_random", 500ms},
    {"port_restricted", "symmetric_sequential", 400ms},
    {"symmetric_sequential", "public_firewall", 400ms},
    {"symmetric_sequential", "symmetric_sequential", 400ms},
    {"port_restricted", "symmetric_block", 4s},
    {"symmetric_block", "endpoint_independent_random", 4s},
    {"symmetric_block", "symmetric_block", 10s, 9},
    {"symmetric_sequential", "symmetric_block", 20s, 9},
    {"symmetric_block", "symmetric_sequential", 20s, 9},
    {"port_restricted", "symmetric_random", 10s, 9},
    {"symmetric_random", "port_restricted_open_input", 10s, 9},
    {"port_restricted", "address_dependent_random", 30s, 9},
    {"address_dependent_random", "port_restricted", 30s, 9},
};

} // namespace

TEST(Ladder, ReachesEveryCellOfTheMatrixThatCanBeReached)
{
    for (const Cell& cell : cells)
        for (const bool together : {true, false}) {
            if (together && cell.within > 1s)
                continue; // slow, and no different
            int reached = 0;
            for (std::uint32_t seed = 1; seed <= 10; ++seed) {
                LadderRun run{cell.client, cell.agent, seed};
                run.run(together, cell.within + (together ? 3s : 0s));
                reached += run.opened ? 1 : 0;
                EXPECT_LE(run.most_packets, nat::Puncher::most_probes);
            }
            EXPECT_GE(reached, cell.of_ten)
                << cell.client << ", " << cell.agent << (together ? ", together" : "");
        }
}

TEST(Ladder, SpraysForOnePairAtATimeThroughANat)
{
    LadderRun run{"symmetric_random", "port_restricted", 1};
    run.run(false, 100ms);
    run.add_pair(2);
    run.add_pair(3);
    run.wait(60s);
    ASSERT_EQ(run.spraying.size(), 6U) << "each has its turn";
    for (std::size_t i = 0; i < run.spraying.size(); ++i) {
        EXPECT_EQ(run.spraying[i].begins, i % 2 == 0);
        EXPECT_EQ(run.spraying[i].pair, run.spraying[i - i % 2].pair);
    }
}

TEST(Ladder, SaysWhyThereIsNoWay)
{
    struct Case {
        std::string_view client, agent, why;
    };

    for (const Case& c : {
             Case{"symmetric_random", "symmetric_random", "both NATs choose ports at random"},
             Case{"udp_blocked", "public", "UDP is blocked at this machine"},
             Case{"full_cone", "udp_blocked", "UDP is blocked at the agent"},
         }) {
        LadderRun run{c.client, c.agent, 1};
        run.run(false, 10s);
        EXPECT_FALSE(run.opened);
        ASSERT_EQ(run.unreachable.size(), 1U) << c.why;
        EXPECT_EQ(run.unreachable[0], c.why);
        EXPECT_EQ(run.packets, 0U);
    }
}

TEST(Ladder, TriesWhatHasWorkedFirst)
{
    LadderRun run{"port_restricted", "address_dependent_random", 3};
    run.run(false, 40s);
    ASSERT_TRUE(run.opened);
    EXPECT_GT(run.punches.size(), 2U) << "observed, twice, and then a guess";
    run.punches.clear();
    run.meet(15s);
    EXPECT_TRUE(run.opened);
    EXPECT_EQ(run.punches.size(), 1U);
}

TEST(Ladder, ReachesAMappedPortThroughNatsThatLetNothingElseBe)
{
    for (const SessionId mapped : {LadderRun::client, LadderRun::agent})
        for (const bool together : {true, false}) {
            LadderRun run{"symmetric_random", "symmetric_random", 1};
            run.map_port(mapped, 40'000);
            run.run(together, 3s);
            EXPECT_TRUE(run.opened) << "together: " << together;
            EXPECT_LT(run.packets, 60U);
            EXPECT_TRUE(run.unreachable.empty());
        }
}

TEST(Ladder, BeginsAgainWhenARouterHasMappedAPort)
{
    LadderRun run{"symmetric_random", "symmetric_random", 1};
    run.run(false, 10s);
    EXPECT_FALSE(run.opened);
    run.map_port(LadderRun::agent, 40'000);
    run.wait(3s);
    EXPECT_TRUE(run.opened);
    const std::size_t attempts = run.punches.size();
    run.map_port(LadderRun::agent, 40'001);
    run.wait(10s);
    EXPECT_EQ(run.punches.size(), attempts) << "there is a path already";
}

TEST(Ladder, TakesNoMappedPortOfAnotherAddress)
{
    const IpAddress stranger = *IpAddress::parse("192.0.2.66");
    LadderRun run{"symmetric_random", "port_restricted", 1};
    run.map_port(LadderRun::client, 40'000, stranger);
    run.map_port(LadderRun::agent, 40'000, stranger);
    run.run(false, 10s);
    for (const Punch& punch : run.punches)
        for (const nat::Candidate& candidate : punch.candidates)
            EXPECT_NE(candidate.address.ip, stranger)
                << "a node could have others send to whom it likes";
}

TEST(Ladder, TriesEverythingElseAfterAMappedPortThatLeadsNowhere)
{
    LadderRun run{"port_restricted", "symmetric_sequential", 1};
    run.map_port(LadderRun::agent, 40'000);
    run.forget_port(LadderRun::agent);
    run.run(false, 10s);
    EXPECT_TRUE(run.opened);
    ASSERT_EQ(run.punches.size(), 2U);
    EXPECT_EQ(std::ranges::count(run.punches[0].candidates, nat::CandidateKind::mapped,
                                 &nat::Candidate::kind),
              1);
}

TEST(Ladder, GivesAFirstAttemptUpThatIsInVain)
{
    LadderRun run{"port_restricted", "symmetric_sequential", 1};
    run.run(true, 5s);
    ASSERT_TRUE(run.opened);
    EXPECT_LT(*run.opened - start, 2s);
    ASSERT_EQ(run.punches.size(), 2U);
    EXPECT_TRUE(run.punches[1].wait) << "for the sample";
}

} // namespace narrowlink::control

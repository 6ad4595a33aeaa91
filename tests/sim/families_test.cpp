// Each family is a kind of trouble; each seed is one history of it. See families.hpp for the
// variables.

#include "families.hpp"

namespace narrowlink::sim {

TEST(Sim, OneSeedIsOneHistory)
{
    const Character character{
        .loss = 0.01, .faults = {Fault::reset, Fault::gateway_killed}, .outage_ms = {0, 3'000}};
    for (const std::uint64_t seed : {1U, 2U}) {
        History first{seed, character};
        History second{seed, character};
        EXPECT_FALSE(first.run().has_value());
        EXPECT_FALSE(second.run().has_value());
        EXPECT_EQ(first.fingerprint(), second.fingerprint());
    }
}

TEST(Sim, StreamsArriveWholeOverAQuietNetwork)
{
    run_family({.clients = {1, 2}}, 8);
}

TEST(Sim, StreamsSurviveLossAndReordering)
{
    run_family({.loss = 0.02, .reorder = 0.05, .hiccup = 0.01, .longest_stall = seconds{4}}, 10);
}

TEST(Sim, StreamsSurviveFullQueues)
{
    const relay::EgressQueue::Config tiny{.pair_least = 64 * 1'024,
                                          .pair_most = 128 * 1'024,
                                          .pair_unmeasured = 64 * 1'024,
                                          .memory_most = 512 * 1'024};
    run_family({.clients = {1, 3},
                .stream_bytes = {100'000, 10'000'000},
                .access_bytes_per_second = {500'000, 100'000'000},
                .queue = tiny,
                .longest_stall = seconds{4}},
               10);
}

// Socket buffers and queues hold seconds of what such a link takes, so all repairs take that long.
// At 20 kB/s a congestion window of packets of 16 KiB is a queue of 12 s: what was lost in it is
// missed a round trip later, sent again a window later, and lost again in 1 of 200 histories.
TEST(Sim, StreamsArriveWholeOverSlowLinks)
{
    run_family({.clients = {1, 2},
                .stream_bytes = {0, 2'000'000},
                .access_bytes_per_second = {20'000, 200'000},
                .delay_ms = {20, 300},
                .hiccup = 0.01,
                .longest_stall = seconds{120}},
               4);
}

TEST(Sim, StreamsSurviveGatewayRestarts)
{
    run_family({.clients = {1, 2}, .faults = {Fault::gateway_killed, Fault::gateway_without_power}},
               10);
}

TEST(Sim, StreamsSurviveResetsAndBlackHoles)
{
    run_family({.faults = {Fault::reset, Fault::reset_at_node, Fault::reset_at_gateway,
                           Fault::black_hole, Fault::no_route}},
               14);
}

TEST(Sim, StreamsSurviveAllOfItAtOnce)
{
    run_family(
        {.agents = {1, 2},
         .clients = {1, 2},
         .loss = 0.005,
         .reorder = 0.01,
         .faults = {Fault::reset, Fault::reset_at_node, Fault::reset_at_gateway, Fault::black_hole,
                    Fault::no_route, Fault::gateway_killed, Fault::gateway_without_power},
         .fault_count = {2, 12},
         .faults_within = seconds{30},
         .longest_stall = seconds{4}},
        12);
}

TEST(Sim, ManyStreamsShareAPairAndAPairServesManyInTurn)
{
    run_family({.streams = {50, 300},
                .stream_bytes = {0, 60'000},
                .faults = {Fault::reset, Fault::gateway_killed},
                .fault_count = {0, 2},
                .outage_ms = {0, 3'000},
                .streams_at_once = 40},
               6);
}

TEST(Sim, StreamsEndWithAnErrorWhenTheAgentIsAnotherProcess)
{
    run_family({.clients = {1, 3},
                .faults = {Fault::agent_killed, Fault::agent_killed, Fault::reset,
                           Fault::black_hole, Fault::gateway_killed}},
               10);
}

TEST(Sim, NothingIsLeftOfAClientThatDied)
{
    run_family({.clients = {1, 3},
                .faults = {Fault::client_killed, Fault::client_killed, Fault::reset_at_node,
                           Fault::gateway_killed}},
               6);
}

TEST(Sim, DatagramsAreLostButNeverChanged)
{
    run_family({.clients = {1, 2},
                .streams = {2, 10},
                .stream_bytes = {0, 1'000'000},
                .datagram_streams = 0.8,
                .loss = 0.02,
                .reorder = 0.1,
                .faults = {Fault::reset, Fault::black_hole},
                .fault_count = {0, 2},
                .outage_ms = {0, 5'000},
                .longest_stall = seconds{4}},
               6);
}

TEST(Sim, ClientsThatChoseTheSamePairIdDoNotMeet)
{
    run_family({.agents = {2, 3},
                .clients = {1, 3},
                .stream_bytes = {0, 1'000'000},
                .faults = {Fault::reset, Fault::reset_at_node, Fault::gateway_killed},
                .fault_count = {0, 4},
                .outage_ms = {0, 10'000},
                .same_pair_ids = true},
               4);
}

} // namespace narrowlink::sim

// Histories of paths: nodes behind routers of every kind find direct paths, and lose them in every
// way. See families.hpp for the variables; SIM_SEEDS=10000 is the whole of it.

#include "families.hpp"

namespace narrowlink::sim {
namespace {

constexpr std::uint64_t seeds_by_default = SIM_PATH_SEEDS_DEFAULT;

/// See docs/testing.md, where the parts of it are.
constexpr Duration longest_stall = seconds{6};

/// Between which nothing has to be guessed.
const std::vector<std::string_view> easy{"public",
                                         "public_firewall",
                                         "full_cone",
                                         "address_restricted",
                                         "port_restricted",
                                         "port_restricted_open_input",
                                         "endpoint_independent_random"};

const std::vector<std::string_view> all{"public",
                                        "public_firewall",
                                        "full_cone",
                                        "full_cone_hairpin",
                                        "address_restricted",
                                        "port_restricted",
                                        "port_restricted_open_input",
                                        "endpoint_independent_random",
                                        "address_dependent_random",
                                        "symmetric_sequential",
                                        "symmetric_block",
                                        "symmetric_random",
                                        "address_pool",
                                        "udp_443_only"};

/// Streams that begin one after the other and meet some faults each.
Character among(std::vector<std::string_view> routers, std::vector<Fault> faults)
{
    return {.streams = {1, 5},
            .stream_bytes = {0, 10'000'000},
            .datagram_streams = 0.2,
            .starts_within = seconds{20},
            .faults = std::move(faults),
            .fault_count = {1, 6},
            .faults_within = seconds{30},
            .routers = std::move(routers),
            .udp_relay = 0.5,
            .longest_stall = longest_stall};
}

} // namespace

TEST(Paths, StreamsMoveToADirectPathWhereverThereIsOne)
{
    Character character = among(all, {});
    character.clients = {1, 2};
    run_family(character, 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveBlackHolesBetweenTheSites)
{
    run_family(among(easy, {Fault::direct_dead, Fault::direct_dead_one_way, Fault::direct_flaps}),
               20, seeds_by_default);
}

TEST(Paths, StreamsSurviveDirectPathsThatTakeSmallerPacketsOnly)
{
    Character character = among(easy, {Fault::direct_narrow});
    character.stream_bytes = {1'000'000, 20'000'000};
    run_family(character, 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveSlowAndLossyDirectPaths)
{
    run_family(among(easy, {Fault::direct_slow, Fault::direct_lossy}), 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveRoutersThatReboot)
{
    run_family(among(easy, {Fault::router_rebooted}), 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveBothEndsMoving)
{
    run_family(among(all, {Fault::roams, Fault::router_rebooted}), 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveNodesThatSleep)
{
    run_family(among(easy, {Fault::suspended, Fault::stopped}), 10, seeds_by_default);
}

TEST(Paths, StreamsSurviveOutagesOfMinutes)
{
    Character character = among(easy, {Fault::suspended, Fault::stopped, Fault::gateway_killed,
                                       Fault::gateway_without_power, Fault::black_hole,
                                       Fault::no_route});
    character.outage_ms = {60'000, 400'000};
    character.resume_window = minutes{10};
    character.fault_count = {1, 3};
    character.stream_bytes = {5'000'000, 20'000'000};
    run_family(character, 5, seeds_by_default);
}

TEST(Paths, StreamsSurviveGatewayRestartsWithAndWithoutADirectPath)
{
    run_family(among(easy, {Fault::gateway_killed, Fault::gateway_without_power, Fault::direct_dead,
                            Fault::direct_flaps, Fault::reset}),
               10, seeds_by_default);
}

TEST(Paths, StreamsSurviveAllOfItAtOnce)
{
    Character character =
        among(all, {Fault::direct_dead, Fault::direct_dead_one_way, Fault::direct_flaps,
                    Fault::direct_narrow, Fault::direct_slow, Fault::direct_lossy,
                    Fault::router_rebooted, Fault::roams, Fault::suspended, Fault::stopped,
                    Fault::gateway_killed, Fault::gateway_without_power, Fault::black_hole,
                    Fault::no_route, Fault::reset, Fault::reset_at_node, Fault::reset_at_gateway});
    character.clients = {1, 2};
    character.loss = 0.002;
    character.reorder = 0.005;
    character.fault_count = {2, 12};
    run_family(character, 20, seeds_by_default);
}

} // namespace narrowlink::sim

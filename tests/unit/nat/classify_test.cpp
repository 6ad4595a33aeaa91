#include "narrowlink/nat/classify.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace narrowlink::nat {
namespace {

std::vector<std::uint16_t> ports_from(std::uint32_t seed, unsigned first, unsigned last,
                                      std::size_t count = 48)
{
    std::mt19937 random{seed};
    std::vector<std::uint16_t> ports(count);
    for (std::uint16_t& port : ports)
        port = static_cast<std::uint16_t>(first + random() % (last - first + 1));
    return ports;
}

std::vector<std::uint16_t> counting(int first, int delta, std::size_t count = 48)
{
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < count; ++i)
        ports.push_back(static_cast<std::uint16_t>(first + delta * static_cast<int>(i)));
    return ports;
}

Observation observation(GatewaySocket at, std::uint16_t port, std::string_view ip = "203.0.113.1")
{
    return {
        .local_port = 50'000, .at = at, .seen = {.ip = IpAddress::parse(ip).value(), .port = port}};
}

TEST(ClassifyPorts, TakesSmallEqualStepsForSequential)
{
    for (const int delta : {1, 2, -1, 16, -16})
        EXPECT_EQ(classify_ports(counting(40'000, delta)),
                  (PortPattern{.allocation = Allocation::sequential, .delta = delta}));
    EXPECT_EQ(classify_ports(counting(40'000, 17)).allocation, Allocation::block);
    EXPECT_EQ(classify_ports(counting(40'000, 0)).allocation, Allocation::block);
}

TEST(ClassifyPorts, WantsSevenOfTenStepsEqual)
{
    std::vector<std::uint16_t> ports = counting(40'000, 1, 11);
    ports.insert(ports.end(), {50'000, 60'000, 1'000, 30'000}); // 10 of 14 steps
    EXPECT_EQ(classify_ports(ports).allocation, Allocation::sequential);
    ports.push_back(55'555); // 10 of 15
    EXPECT_EQ(classify_ports(ports).allocation, Allocation::random);
}

TEST(ClassifyPorts, EstimatesABlockOneTwelfthWiderOnEitherSide)
{
    std::vector<std::uint16_t> ports = ports_from(1, 20'600, 20'900, 46);
    ports.insert(ports.end(), {20'500, 20'980});
    EXPECT_EQ(classify_ports(ports),
              (PortPattern{.allocation = Allocation::block, .first = 20'460, .last = 21'020}));
}

TEST(ClassifyPorts, FindsBothBordersOfABlockMostly)
{
    int found = 0;
    for (std::uint32_t seed = 0; seed < 200; ++seed) {
        const PortPattern pattern = classify_ports(ports_from(seed, 20'480, 20'991));
        ASSERT_EQ(pattern.allocation, Allocation::block);
        EXPECT_LE(pattern.last - pattern.first, 600);
        found += pattern.first <= 20'480 && pattern.last >= 20'991;
    }
    EXPECT_GE(found, 185);
}

TEST(ClassifyPorts, MakesBordersExactWithRememberedPorts)
{
    const std::vector<std::uint16_t> remembered = ports_from(7, 20'480, 20'991, 3'000);
    const PortPattern pattern = classify_ports(ports_from(8, 20'480, 20'991), remembered);
    EXPECT_NEAR(pattern.first, 20'480, 4);
    EXPECT_NEAR(pattern.last, 20'991, 4);
}

TEST(ClassifyPorts, ForgetsRememberedPortsOfAnotherBlock)
{
    const std::vector<std::uint16_t> ports = ports_from(8, 20'480, 20'991);
    EXPECT_EQ(classify_ports(ports, ports_from(7, 22'016, 22'527)), classify_ports(ports));
    EXPECT_EQ(classify_ports(ports, std::vector<std::uint16_t>{0, 65'535}), classify_ports(ports));
}

TEST(ClassifyPorts, KeepsABlockWithinThePorts)
{
    const PortPattern low = classify_ports(ports_from(1, 0, 500));
    EXPECT_EQ(low.first, 1);
    const PortPattern high = classify_ports(ports_from(1, 65'000, 65'535));
    EXPECT_EQ(high.last, 65'535);
}

TEST(ClassifyPorts, SaysNothingAboutFewPorts)
{
    EXPECT_EQ(classify_ports({}), PortPattern{});
    EXPECT_EQ(classify_ports(counting(40'000, 1, 11)), PortPattern{});
}

TEST(HopsOf, CountsFromTheUsualInitialValues)
{
    EXPECT_EQ(hops_of(64), 0U);
    EXPECT_EQ(hops_of(59), 5U);
    EXPECT_EQ(hops_of(128), 0U);
    EXPECT_EQ(hops_of(117), 11U);
    EXPECT_EQ(hops_of(245), 10U);
    EXPECT_EQ(hops_of(255), 0U);
    EXPECT_EQ(hops_of(std::uint8_t{0}), 0U) << "unknown";
}

TEST(Classify, NeedsTwoProbesForAMapping)
{
    Evidence evidence;
    evidence.observations = {observation({.port = 1}, 1'234)};
    EXPECT_EQ(classify(evidence).reach, Reach::open);
    EXPECT_EQ(classify(evidence).mapping, Mapping::unknown);
    evidence.observations.push_back(observation({.port = 2}, 1'234));
    EXPECT_EQ(classify(evidence).mapping, Mapping::endpoint_independent);
    EXPECT_TRUE(classify(evidence).mapping_is_a_guess);
}

TEST(Classify, ExpectsTheWorstWhenOnlyOnePortOfEachAddressWasReached)
{
    Evidence evidence{.gateway = {.first = 4, .second = 2}};
    evidence.observations = {observation({.port = 1}, 1'234),
                             observation({.address = 1, .port = 1}, 1'235)};
    EXPECT_EQ(classify(evidence).mapping, Mapping::address_and_port_dependent);
}

TEST(Classify, DoesNotCallATranslatedPortNoNat)
{
    Evidence evidence{.own_addresses = {IpAddress::parse("203.0.113.1").value()}};
    evidence.observations = {observation({.port = 0}, 50'000), observation({.port = 1}, 50'000)};
    EXPECT_EQ(classify(evidence).mapping, Mapping::none);
    evidence.observations[1].seen.port = 50'001;
    EXPECT_EQ(classify(evidence).mapping, Mapping::address_and_port_dependent);
}

TEST(Classify, KeepsFilteringUnknownIfNotEvenTheAnswerArrived)
{
    Evidence evidence;
    evidence.observations = {observation({.port = 0}, 1'234), observation({.port = 1}, 1'234)};
    evidence.filter_report = FilterReport{.answered = false};
    EXPECT_EQ(classify(evidence).filtering, Filtering::unknown);
    evidence.filter_report = FilterReport{.answered = true};
    EXPECT_EQ(classify(evidence).filtering, Filtering::address_and_port_dependent);
}

TEST(Classify, DoesNotBelieveInPacketsFromAnAddressTheGatewayHasNot)
{
    Evidence evidence;
    evidence.observations = {observation({.port = 0}, 1'234), observation({.port = 1}, 1'234)};
    evidence.filter_report = FilterReport{.from_address = true};
    EXPECT_EQ(classify(evidence).filtering, Filtering::address_and_port_dependent);
}

TEST(Classify, TakesAnotherAddressInThePoisonTestForAPool)
{
    Evidence evidence;
    evidence.observations = {observation({.port = 0}, 50'000), observation({.port = 1}, 50'000)};
    Observation before = observation({.port = 0}, 50'001);
    Observation after = observation({.port = 1}, 50'001, "203.0.113.2");
    before.socket = after.socket = filter_socket;
    evidence.observations.insert(evidence.observations.end(), {before, after});
    evidence.filter_report = FilterReport{};
    evidence.poison_tested = true;
    const Behaviour behaviour = classify(evidence);
    EXPECT_TRUE(behaviour.address_pool);
    EXPECT_FALSE(behaviour.poisonable);
    EXPECT_EQ(behaviour.mapping, Mapping::address_and_port_dependent);
}

TEST(Classify, GetsAlongWithAnyEvidence)
{
    std::mt19937 random{42};
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    for (int run = 0; run < 2'000; ++run) {
        Evidence evidence{.gateway = {.first = below(6), .second = below(4)}};
        for (unsigned i = below(200); i > 0; --i)
            evidence.observations.push_back(
                {.socket = below(20),
                 .local_port = static_cast<std::uint16_t>(below(3) * 32'767),
                 .at = {.address = below(4), .port = below(8)},
                 .seen = {.ip = IpAddress::v4({std::byte{1}, {}, {}, std::byte(below(3))}),
                          .port = static_cast<std::uint16_t>(below(70'000))},
                 .ttl = static_cast<std::uint8_t>(below(256))});
        if (below(2) != 0)
            evidence.filter_report = {.from_port = below(2) != 0,
                                      .from_address = below(2) != 0,
                                      .answered = below(2) != 0};
        evidence.poison_tested = below(2) != 0;
        evidence.remembered_ports = ports_from(below(1'000'000), 0, 65'535, below(100));
        const Behaviour behaviour = classify(evidence);
        EXPECT_EQ(behaviour.allocation == Allocation::sequential, behaviour.delta != 0);
        EXPECT_LE(behaviour.block_first, behaviour.block_last);
        EXPECT_FALSE(describe(behaviour).empty());
    }
}

TEST(Describe, FitsOnALine)
{
    EXPECT_EQ(describe({}), "unknown");
    EXPECT_EQ(describe({.reach = Reach::blocked}), "UDP blocked");
    EXPECT_EQ(describe({.reach = Reach::main_port_only}), "UDP only to the gateway's main port");
    using std::chrono::seconds;
    EXPECT_EQ(describe({.reach = Reach::main_port_only,
                        .lifetime = {.alive_after = seconds{25}, .gone_after = seconds{55}}}),
              "UDP only to the gateway's main port, kept when idle for 25 s but not for 55 s");
    EXPECT_TRUE(describe({.reach = Reach::open, .lifetime = {.alive_after = seconds{115}}})
                    .ends_with(", kept when idle for 115 s"));
    EXPECT_TRUE(describe({.reach = Reach::open, .lifetime = {.gone_after = seconds{12}}})
                    .ends_with(", forgotten when idle for 12 s"));
    EXPECT_EQ(describe({.reach = Reach::open,
                        .mapping = Mapping::none,
                        .filtering = Filtering::none,
                        .allocation = Allocation::preserving}),
              "no NAT");
    EXPECT_EQ(describe({.reach = Reach::open,
                        .mapping = Mapping::none,
                        .filtering = Filtering::address_and_port_dependent}),
              "no NAT, address-and-port-dependent filtering");
    EXPECT_EQ(describe({.reach = Reach::open,
                        .mapping = Mapping::endpoint_independent,
                        .filtering = Filtering::address_and_port_dependent,
                        .allocation = Allocation::preserving}),
              "endpoint-independent mapping, address-and-port-dependent filtering, "
              "ports preserved");
    EXPECT_EQ(describe({.reach = Reach::open,
                        .mapping = Mapping::address_and_port_dependent,
                        .filtering = Filtering::unknown,
                        .allocation = Allocation::sequential,
                        .delta = 1}),
              "address-and-port-dependent mapping, unknown filtering, ports sequential (+1)");
    EXPECT_EQ(describe({.reach = Reach::open,
                        .mapping = Mapping::endpoint_independent,
                        .filtering = Filtering::address_dependent,
                        .address_pool = true,
                        .poisonable = true,
                        .mapping_is_a_guess = true}),
              "endpoint-independent mapping (seen from one address), address-dependent filtering, "
              "ports not preserved, several external addresses, spoiled by unsolicited packets");
}

} // namespace
} // namespace narrowlink::nat

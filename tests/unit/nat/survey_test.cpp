#include "narrowlink/nat/survey.hpp"
#include "survey_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace narrowlink::nat {
namespace {

using namespace std::chrono_literals;
using model::one_address;
using model::start;
using model::two_addresses;
using Purpose = SurveyStep::Purpose;

constexpr std::uint32_t seeds = 200;

/// What a survey of a recipe has to find. Where one address of the gateway sees less than two, the
/// second column of mappings and filterings is what it sees.
struct Expected {
    std::string_view recipe;
    Reach reach = Reach::open;
    Mapping mapping = Mapping::unknown;
    Mapping mapping_from_one = Mapping::unknown;
    Filtering filtering = Filtering::unknown;
    Filtering filtering_from_one = Filtering::unknown;
    Allocation allocation = Allocation::unknown;
    int delta = 0;
    bool address_pool = false;
    bool poisonable = false;
};

constexpr auto none = Mapping::none;
constexpr auto eim = Mapping::endpoint_independent;
constexpr auto adm = Mapping::address_dependent;
constexpr auto apdm = Mapping::address_and_port_dependent;
constexpr auto eif = Filtering::endpoint_independent;
constexpr auto adf = Filtering::address_dependent;
constexpr auto apdf = Filtering::address_and_port_dependent;
constexpr auto unfiltered = Filtering::none;
constexpr auto kept = Allocation::preserving;
constexpr auto sequential = Allocation::sequential;
constexpr auto not_kept = Allocation::unknown;

// clang-format off
constexpr Expected table[] = {
    // recipe                        mapping (2, 1)  filtering (2, 1)      ports
    {"public", Reach::open,          none, none,     unfiltered, unfiltered, kept},
    {"public_firewall", Reach::open, none, none,     apdf, apdf,           kept},
    {"full_cone", Reach::open,       eim, eim,       eif, adf,             kept},
    {"address_restricted", Reach::open, eim, eim,    adf, adf,             kept},
    {"port_restricted", Reach::open, eim, eim,       apdf, apdf,           kept},
    {"port_restricted_open_input", Reach::open, eim, eim, apdf, apdf,      kept, 0, false, true},
    {"endpoint_independent_random", Reach::open, eim, eim, apdf, apdf,     not_kept},
    {"endpoint_independent_random_open_input", Reach::open, eim, eim, apdf, apdf,
                                                                       not_kept, 0, false, true},
    {"address_dependent_random", Reach::open, adm, eim, apdf, apdf,        not_kept},
    {"symmetric_sequential", Reach::open, apdm, apdm, apdf, apdf,          sequential, 1},
    {"symmetric_sequential_busy", Reach::open, apdm, apdm, apdf, apdf,     sequential, -2},
    {"symmetric_block", Reach::open, apdm, apdm,     apdf, apdf,           Allocation::block},
    {"symmetric_random", Reach::open, apdm, apdm,    apdf, apdf,           Allocation::random},
    {"address_pool", Reach::open,    apdm, apdm,     apdf, apdf,           kept, 0, true},
    {"udp_blocked", Reach::blocked},
    {"udp_443_only", Reach::main_port_only},
};

// clang-format on

class SurveyOf : public testing::TestWithParam<Expected> {
protected:
    static void expect(const Behaviour& found, bool from_two)
    {
        const Expected& expected = GetParam();
        EXPECT_EQ(found.reach, expected.reach);
        if (expected.reach != Reach::open)
            return;
        EXPECT_EQ(found.mapping, from_two ? expected.mapping : expected.mapping_from_one);
        EXPECT_EQ(found.filtering, from_two ? expected.filtering : expected.filtering_from_one);
        EXPECT_EQ(found.allocation, expected.allocation);
        EXPECT_EQ(found.delta, expected.delta);
        EXPECT_EQ(found.address_pool, expected.address_pool);
        EXPECT_EQ(found.poisonable, expected.poisonable);
        EXPECT_EQ(found.hops, 5U);
        EXPECT_EQ(found.mapping_is_a_guess, !from_two && found.mapping == eim);
    }

    static void expect_packets(const model::SurveyRun::Outcome& outcome, bool from_two)
    {
        const bool sampled = outcome.finished.behaviour.mapping == apdm &&
                             outcome.finished.behaviour.allocation != kept;
        EXPECT_LE(outcome.probes, (from_two ? 16U : 12U) + (sampled ? 48U : 0U));
        EXPECT_LE(outcome.filter_packets, from_two ? 4U : 2U);
    }
};

TEST_P(SurveyOf, FindsItsClassForEverySeed)
{
    unsigned misses = 0; // a pool may give one socket the same address each time
    for (const bool from_two : {false, true}) {
        for (std::uint32_t seed = 0; seed < seeds; ++seed) {
            SCOPED_TRACE(testing::Message() << "seed " << seed << " two " << from_two);
            model::SurveyRun run{model::recipe(GetParam().recipe), seed,
                                 from_two ? two_addresses : one_address};
            const auto outcome = run.run();
            ASSERT_TRUE(outcome);
            expect_packets(*outcome, from_two);
            const Behaviour& found = outcome->finished.behaviour;
            if (GetParam().address_pool && found.mapping == eim)
                ++misses;
            else
                expect(found, from_two);
            if (HasFailure())
                return;
        }
    }
    EXPECT_LE(misses, seeds / 50);
}

TEST_P(SurveyOf, EndsInTimeWhateverIsLost)
{
    for (std::uint32_t seed = 0; seed < seeds; ++seed) {
        model::SurveyRun run{model::recipe(GetParam().recipe), seed, two_addresses, seed % 100};
        const auto outcome = run.run();
        ASSERT_TRUE(outcome) << seed;
        EXPECT_LT(outcome->took, 10s);
    }
}

INSTANTIATE_TEST_SUITE_P(EachRecipe, SurveyOf, testing::ValuesIn(table),
                         [](const auto& tested) { return std::string{tested.param.recipe}; });

TEST(SurveyTable, HasEveryRecipe)
{
    ASSERT_EQ(std::size(table), model::recipes().size());
    for (std::size_t i = 0; i < std::size(table); ++i)
        EXPECT_EQ(table[i].recipe, model::recipes()[i].name);
}

Observation probe(unsigned socket, GatewaySocket at, std::uint16_t port = 50'000)
{
    return {.socket = socket,
            .local_port = 50'000,
            .at = at,
            .seen = model::address("203.0.113.1", port),
            .ttl = 60};
}

/// Lets S1 arrive everywhere on the first address; the survey then asks for the filter test.
void answer_mapping(Survey& survey, Instant now)
{
    EXPECT_EQ(survey.poll_request()->purpose, Purpose::mapping);
    for (unsigned port = 0; port < 4; ++port)
        survey.handle_probe(now, probe(mapping_socket, {.port = port}));
}

TEST(Survey, AsksForTheMappingFirst)
{
    Survey survey{{.gateway = two_addresses}, start};
    const auto step = survey.poll_request();
    ASSERT_TRUE(step);
    EXPECT_EQ(step->purpose, Purpose::mapping);
    EXPECT_EQ(step->to.size(), 6U);
    EXPECT_EQ(step->rounds, 2U);
    EXPECT_FALSE(survey.poll_request());
    EXPECT_EQ(survey.deadline(), start + 1s);
}

TEST(Survey, GoesOnAtOnceWhenEverythingHasArrived)
{
    Survey survey{{.gateway = one_address}, start};
    answer_mapping(survey, start + 20ms);
    EXPECT_EQ(survey.poll_request()->purpose, Purpose::filtering);
}

TEST(Survey, GoesOnWithoutALostProbe)
{
    Survey survey{{.gateway = one_address}, start};
    (void)survey.poll_request();
    for (unsigned port = 0; port < 3; ++port)
        survey.handle_probe(start + 20ms, probe(mapping_socket, {.port = port}));
    EXPECT_EQ(survey.deadline(), start + 320ms);
    survey.handle_timeout(start + 319ms);
    EXPECT_FALSE(survey.poll_request());
    survey.handle_timeout(start + 320ms);
    EXPECT_EQ(survey.poll_request()->purpose, Purpose::filtering);
}

TEST(Survey, WaitsAWholeSecondBeforeItSaysMainPortOnly)
{
    Survey survey{{.gateway = one_address}, start};
    survey.handle_probe(start + 20ms, probe(mapping_socket, {}));
    EXPECT_EQ(survey.deadline(), start + 1s);
    survey.handle_timeout(start + 1s);
    EXPECT_EQ(survey.poll_event()->behaviour.reach, Reach::main_port_only);
    EXPECT_EQ(survey.deadline(), never);
}

TEST(Survey, SendsFilterPacketsOnlyToWhereTheSecondSocketWasSeen)
{
    Survey survey{{.gateway = two_addresses}, start};
    (void)survey.poll_request();
    survey.handle_probe(start, probe(filter_socket, {})); // nobody has asked yet
    EXPECT_FALSE(survey.poll_transmit());
    for (unsigned port = 0; port < 4; ++port)
        survey.handle_probe(start, probe(mapping_socket, {.port = port}));
    for (unsigned port = 0; port < 2; ++port)
        survey.handle_probe(start, probe(mapping_socket, {.address = 1, .port = port}));
    ASSERT_EQ(survey.poll_request()->purpose, Purpose::filtering);

    for (int copy = 0; copy < 10; ++copy)
        survey.handle_probe(start + 1ms, probe(filter_socket, {}, 50'001));
    std::vector<GatewaySocket> from;
    while (const auto transmit = survey.poll_transmit()) {
        EXPECT_EQ(transmit->to, model::address("203.0.113.1", 50'001));
        from.push_back(transmit->from);
    }
    const GatewaySocket port{.port = 1}, address{.address = 1};
    EXPECT_EQ(from, (std::vector{port, address, port, address}));
}

TEST(Survey, DoesNotBelieveAReportOfPacketsThatWereNotSent)
{
    Survey survey{{.gateway = one_address}, start};
    answer_mapping(survey, start);
    survey.handle_filter_report(start + 1ms, {.from_port = true});
    const auto finished = survey.poll_event();
    ASSERT_TRUE(finished);
    EXPECT_EQ(finished->behaviour.filtering, Filtering::unknown);
    EXPECT_FALSE(finished->behaviour.poisonable);
}

TEST(Survey, FinishesWithoutAReport)
{
    Survey survey{{.gateway = one_address}, start};
    answer_mapping(survey, start);
    survey.handle_probe(start, probe(filter_socket, {}));
    EXPECT_EQ(survey.deadline(), start + 2s);
    survey.handle_timeout(start + 2s);
    (void)survey.poll_request();
    EXPECT_EQ(survey.poll_request()->purpose, Purpose::poisoning);
    survey.handle_probe(start + 2s, probe(filter_socket, {.port = 1}));
    const auto finished = survey.poll_event();
    ASSERT_TRUE(finished);
    EXPECT_EQ(finished->behaviour.mapping, Mapping::endpoint_independent);
    EXPECT_EQ(finished->behaviour.filtering, Filtering::unknown);
}

TEST(Survey, LeavesThePoisonTestOutWhereThePacketWasLetIn)
{
    Survey survey{{.gateway = one_address}, start};
    answer_mapping(survey, start);
    (void)survey.poll_request();
    survey.handle_probe(start, probe(filter_socket, {}));
    survey.handle_filter_report(start + 1ms, {.from_port = true});
    EXPECT_FALSE(survey.poll_request());
    EXPECT_EQ(survey.poll_event()->behaviour.filtering, Filtering::address_dependent);
}

TEST(Survey, TellsTheMappedAddressesItSaw)
{
    model::SurveyRun run{model::recipe("symmetric_block"), 3, two_addresses};
    const auto outcome = run.run();
    ASSERT_TRUE(outcome);
    const auto& addresses = outcome->finished.mapped_addresses;
    EXPECT_GE(addresses.size(), 40U);
    EXPECT_LE(addresses.size(), 56U);
    EXPECT_TRUE(std::ranges::is_sorted(addresses));
}

/// Everything a node can say, in any order and at any time.
TEST(Survey, StaysWithinItsLimitsWhateverANodeDoes)
{
    for (std::uint32_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random{seed};
        const auto any = [&] { return static_cast<unsigned>(random()); };
        const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
        Survey survey{{.gateway = seed % 2 == 0 ? one_address : two_addresses}, start};
        Instant now = start;
        unsigned requests = 0, transmits = 0, finished = 0;
        std::size_t addresses = 0;
        while (now < start + 30s) {
            now += std::chrono::milliseconds{below(40)};
            if (below(50) == 0)
                survey.handle_filter_report(now, {.from_port = below(2) != 0,
                                                  .from_address = below(2) != 0,
                                                  .answered = below(2) != 0});
            else
                survey.handle_probe(
                    now, {.socket = below(8) == 0 ? any() : below(16),
                          .local_port = static_cast<std::uint16_t>(random()),
                          .at = {.address = below(3), .port = below(8) == 0 ? any() : below(5)},
                          .seen = model::address(below(4) == 0 ? "2001:db8::1" : "203.0.113.1",
                                                 static_cast<std::uint16_t>(random())),
                          .ttl = static_cast<std::uint8_t>(random())});
            survey.handle_timeout(now);
            while (survey.poll_request())
                ++requests;
            while (survey.poll_transmit())
                ++transmits;
            while (const auto event = survey.poll_event()) {
                ++finished;
                addresses = event->mapped_addresses.size();
            }
            ASSERT_EQ(survey.deadline() == never, finished == 1);
            ASSERT_TRUE(survey.deadline() > now);
        }
        EXPECT_EQ(finished, 1U);
        EXPECT_LE(requests, 4U);
        EXPECT_LE(transmits, 4U);
        EXPECT_LE(addresses, 56U);
    }
}

} // namespace
} // namespace narrowlink::nat

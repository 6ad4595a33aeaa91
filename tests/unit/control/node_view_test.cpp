#include "narrowlink/control/node_view.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const IpAddress own = *IpAddress::parse("192.168.1.2");
const IpAddress gateway = *IpAddress::parse("198.51.100.2");

class NodeViewTest : public testing::Test {
protected:
    /// Answers what is asked for as a node behind a NAT does that keeps ports and lets nothing in.
    void answer(Instant until)
    {
        for (;;) {
            while (const auto transmit = view.poll_transmit()) {
                ++filter_packets;
                const unsigned socket = transmit->to.port - base;
                if (socket >= nat::first_idle_socket && now - steps.back().second < lifetime)
                    view.handle_alive(now, socket);
            }
            if (view.poll_finished())
                ++surveys;
            if (view.poll_described())
                ++descriptions;
            if (const auto step = view.poll_request()) {
                steps.emplace_back(step->purpose, now);
                for (unsigned i = 0; i < step->sockets; ++i)
                    for (const nat::GatewaySocket to : step->to)
                        probe(step->first_socket + i, to);
                if (step->purpose == nat::SurveyStep::Purpose::filtering)
                    view.handle_filter_report(now, report);
                continue;
            }
            if (view.deadline() > until)
                break;
            now = std::max(now, view.deadline());
            view.handle_timeout(now);
        }
        now = std::max(now, until);
    }

    bool probe(unsigned socket = 0, nat::GatewaySocket at = {})
    {
        if (is_silent)
            return false;
        const auto port = static_cast<std::uint16_t>(base + socket);
        return view.handle_probe(
            now,
            {.socket = socket, .local_port = port, .at = at, .seen = {external, port}, .ttl = 60},
            gateway, is_proved);
    }

    NatMemory memory;
    NodeView view{{.gateway = {.first = 4, .second = 0}, .node = "ann home", .memory = &memory}};
    Instant now = start;
    IpAddress external = *IpAddress::parse("203.0.113.1");
    std::uint16_t base = 40'000;
    bool is_silent = false, is_proved = true;
    nat::FilterReport report{};
    Duration lifetime = seconds{30}; ///< of idle mappings
    std::vector<std::pair<nat::SurveyStep::Purpose, Instant>> steps;
    int surveys = 0, filter_packets = 0, descriptions = 0;
};

} // namespace

TEST_F(NodeViewTest, SurveysANodeOnceItIsSeenAndHasSaidWhatAddressesItHas)
{
    EXPECT_FALSE(probe());
    answer(now);
    EXPECT_EQ(surveys, 0) << "whether there is a NAT cannot be said yet";
    view.handle_own_addresses(now, {own});
    answer(now + seconds{5});
    EXPECT_EQ(surveys, 1);
    ASSERT_TRUE(view.behaviour());
    EXPECT_EQ(view.behaviour()->mapping, nat::Mapping::endpoint_independent);
    EXPECT_EQ(view.behaviour()->filtering, nat::Filtering::address_and_port_dependent);
    EXPECT_EQ(view.behaviour()->hops, 4U);
    EXPECT_EQ(filter_packets, 1);
    EXPECT_EQ(view.probed(), gateway);
    EXPECT_EQ(memory.ports("ann home", external), (std::vector<std::uint16_t>{40'000, 40'001}));
    answer(now + minutes{10});
    EXPECT_EQ(surveys, 1);
    EXPECT_EQ(view.deadline(), never);
}

TEST_F(NodeViewTest, SurveysAgainWhenTheNodeHasMovedButNotTooOften)
{
    view.handle_own_addresses(now, {own});
    probe();
    answer(now + seconds{5});
    for (int i = 0; i < 90; ++i) {
        base = static_cast<std::uint16_t>(base + 2);
        EXPECT_TRUE(probe());
        answer(now + seconds{2});
    }
    EXPECT_GE(surveys, 3);
    EXPECT_LE(surveys, 5);
}

TEST_F(NodeViewTest, TakesBackThatUdpIsBlocked)
{
    is_silent = true;
    view.handle_own_addresses(now, {own});
    answer(now + seconds{5});
    ASSERT_TRUE(view.behaviour());
    EXPECT_EQ(view.behaviour()->reach, nat::Reach::blocked);
    is_silent = false;
    probe();
    EXPECT_FALSE(view.behaviour());
    answer(now + seconds{15});
    ASSERT_TRUE(view.behaviour());
    EXPECT_EQ(view.behaviour()->reach, nat::Reach::open);
}

TEST_F(NodeViewTest, DoesNotTakeSilenceForAnAnswerWhereNothingIsAsked)
{
    is_silent = true;
    view.handle_own_addresses(now, {own});
    view.expect_nothing();
    answer(now + seconds{5});
    EXPECT_FALSE(view.behaviour());
}

TEST_F(NodeViewTest, DoesNotSurveyAFamilyThatTheNodeDoesNotHave)
{
    view.handle_own_addresses(now, {});
    EXPECT_EQ(view.deadline(), never);
}

class LifetimeTest : public NodeViewTest {
protected:
    LifetimeTest() { view = make_view(); }

    NodeView make_view()
    {
        return NodeView{{.gateway = {.first = 4, .second = 0},
                         .node = "ann home",
                         .memory = &memory,
                         .tells_lifetime = true}};
    }

    void begin()
    {
        view.handle_own_addresses(now, {own});
        probe();
        answer(now + seconds{5});
        ASSERT_EQ(surveys, 1);
    }

    [[nodiscard]] auto count(nat::SurveyStep::Purpose purpose) const
    {
        return std::ranges::count(steps, purpose, &decltype(steps)::value_type::first);
    }
};

TEST_F(LifetimeTest, IsFoundOutAWhileAfterTheSurveyAndTold)
{
    begin();
    EXPECT_EQ(descriptions, 1);
    EXPECT_EQ(view.behaviour()->lifetime, nat::MappingLifetime{});
    const Instant surveyed = now;
    answer(now + minutes{4});
    EXPECT_EQ(view.behaviour()->lifetime,
              (nat::MappingLifetime{.alive_after = seconds{25}, .gone_after = seconds{55}}));
    ASSERT_EQ(count(nat::SurveyStep::Purpose::lifetime), 1);
    EXPECT_GE(steps.back().second, surveyed + seconds{50}) << "paths are looked for first";
    EXPECT_EQ(descriptions, 2);
    EXPECT_EQ(surveys, 1) << "that was no survey";
    answer(now + minutes{10});
    EXPECT_EQ(view.deadline(), never);
}

TEST_F(LifetimeTest, IsRememberedForADayOverSessions)
{
    begin();
    answer(now + minutes{4});
    view = make_view();
    surveys = 0;
    begin();
    EXPECT_EQ(view.behaviour()->lifetime.alive_after, seconds{25});
    answer(now + minutes{4});
    EXPECT_EQ(count(nat::SurveyStep::Purpose::lifetime), 1);

    now += std::chrono::hours{25};
    view = make_view();
    surveys = 0;
    begin();
    answer(now + minutes{4});
    EXPECT_EQ(count(nat::SurveyStep::Purpose::lifetime), 2);
}

TEST_F(LifetimeTest, OfTheNetworkBeforeIsNotThatOfTheNext)
{
    begin();
    answer(now + seconds{90}); // in the middle of it
    ASSERT_EQ(count(nat::SurveyStep::Purpose::lifetime), 1);
    external = *IpAddress::parse("203.0.113.77");
    lifetime = minutes{10};
    EXPECT_TRUE(probe());
    answer(now + minutes{1});
    EXPECT_EQ(view.behaviour()->lifetime, nat::MappingLifetime{});
    answer(now + minutes{5});
    EXPECT_EQ(view.behaviour()->lifetime.alive_after, seconds{115});
}

TEST_F(LifetimeTest, IsNotAskedForWhereNothingKeepsState)
{
    external = own;
    report = {.from_port = true, .from_address = true};
    begin();
    answer(now + minutes{4});
    EXPECT_EQ(count(nat::SurveyStep::Purpose::lifetime), 0);
}

TEST_F(NodeViewTest, DoesNotAskANodeThatCannotTellLifetimes)
{
    view.handle_own_addresses(now, {own});
    probe();
    answer(now + minutes{10});
    for (const auto& [purpose, at] : steps)
        EXPECT_NE(purpose, nat::SurveyStep::Purpose::lifetime);
}

TEST(NatMemory, IsBounded)
{
    NatMemory memory;
    const IpAddress ip = *IpAddress::parse("203.0.113.1");
    for (std::uint16_t port = 1; port < 10'000; ++port)
        memory.remember("a", {{ip, port}});
    EXPECT_EQ(memory.ports("a", ip).size(), NatMemory::most_ports);
    for (std::size_t i = 0; i < 2 * NatMemory::most_entries; ++i)
        memory.remember(std::to_string(i), {{ip, 1}});
    EXPECT_TRUE(memory.ports("a", ip).empty());
    EXPECT_TRUE(memory.ports("0", ip).empty());
    EXPECT_EQ(memory.ports(std::to_string(2 * NatMemory::most_entries - 1), ip).size(), 1U);
}

} // namespace narrowlink::control

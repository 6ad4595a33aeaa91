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
            while (view.poll_transmit())
                ++filter_packets;
            if (view.poll_finished())
                ++surveys;
            if (const auto step = view.poll_request()) {
                for (unsigned i = 0; i < step->sockets; ++i)
                    for (const nat::GatewaySocket to : step->to)
                        probe(step->first_socket + i, to);
                if (step->purpose == nat::SurveyStep::Purpose::filtering)
                    view.handle_filter_report(now, {});
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
            gateway);
    }

    PortMemory memory;
    NodeView view{{.gateway = {.first = 4, .second = 0}, .node = "ann home", .memory = &memory}};
    Instant now = start;
    IpAddress external = *IpAddress::parse("203.0.113.1");
    std::uint16_t base = 40'000;
    bool is_silent = false;
    int surveys = 0, filter_packets = 0;
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

TEST(PortMemory, IsBounded)
{
    PortMemory memory;
    const IpAddress ip = *IpAddress::parse("203.0.113.1");
    for (std::uint16_t port = 1; port < 10'000; ++port)
        memory.remember("a", {{ip, port}});
    EXPECT_EQ(memory.ports("a", ip).size(), PortMemory::most_ports);
    for (std::size_t i = 0; i < 2 * PortMemory::most_entries; ++i)
        memory.remember(std::to_string(i), {{ip, 1}});
    EXPECT_TRUE(memory.ports("a", ip).empty());
    EXPECT_TRUE(memory.ports("0", ip).empty());
    EXPECT_EQ(memory.ports(std::to_string(2 * PortMemory::most_entries - 1), ip).size(), 1U);
}

} // namespace narrowlink::control

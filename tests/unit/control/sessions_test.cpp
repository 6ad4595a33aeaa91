// Both ends of a control session: each alone, and one against the other.

#include "narrowlink/control/gateway_session.hpp"
#include "narrowlink/control/node_session.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace narrowlink::control {
namespace {

using namespace std::chrono_literals;

template <class Session>
std::vector<Message> transmits_of(Session& session)
{
    std::vector<Message> messages;
    while (auto text = session.poll_transmit())
        messages.push_back(parse(*text).value());
    return messages;
}

template <class Session>
std::vector<typename Session::Event> events_of(Session& session)
{
    std::vector<typename Session::Event> events;
    while (auto event = session.poll_event())
        events.push_back(std::move(*event));
    return events;
}

/// The event of that type among those that wait; the others are dropped.
template <class Event, class Session>
std::optional<Event> find_event(Session& session)
{
    std::optional<Event> found;
    while (auto event = session.poll_event())
        if (Event* match = std::get_if<Event>(&*event))
            found = std::move(*match);
    return found;
}

const Welcome some_welcome{
    .version = 1, .features = {"beta"}, .session = "s1", .name = "home", .user = "ann"};

struct Node {
    explicit Node(Role role = Role::client) : session{{}, role, hello_of(1), start} {}

    void hear(const Message& message) { session.handle_text(now, format(message)); }

    /// Established, with nothing left to drain.
    static Node established(Role role = Role::client)
    {
        Node node{role};
        node.hear(some_welcome);
        transmits_of(node.session);
        events_of(node.session);
        return node;
    }

    NodeSession session;
    Instant now = start;
};

struct Gateway {
    explicit Gateway(Role role = Role::client, GatewaySession::Config config = {})
        : session{std::move(config), role, start}
    {
    }

    void hear(const Message& message) { session.handle_text(now, format(message)); }

    static Gateway established(Role role = Role::client, GatewaySession::Config config = {})
    {
        Gateway gateway{role, std::move(config)};
        gateway.hear(hello_of(1));
        gateway.session.accept(gateway.now, {.session = "s1", .name = "n", .user = "u"});
        transmits_of(gateway.session);
        events_of(gateway.session);
        return gateway;
    }

    GatewaySession session;
    Instant now = start;
};

// ---- the node's end

TEST(NodeSession, SaysHelloFirst)
{
    Node node;
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{hello_of(1)});
    EXPECT_EQ(node.session.deadline(), start + 10s);
}

TEST(NodeSession, IsEstablishedByAWelcomeAndPingsAtOnce)
{
    Node node;
    transmits_of(node.session);
    node.hear(some_welcome);
    const auto established = find_event<NodeSession::Established>(node.session);
    ASSERT_TRUE(established);
    EXPECT_EQ(established->version, 1U);
    EXPECT_EQ(established->features, std::vector<std::string>{"beta"});
    EXPECT_EQ(established->name, "home");
    EXPECT_EQ(established->user, "ann");
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{Ping{1}});
}

TEST(NodeSession, GivesUpWhenNoWelcomeComes)
{
    Node node;
    node.session.handle_timeout(start + 10s - 1ns);
    EXPECT_FALSE(node.session.poll_event());
    node.session.handle_timeout(start + 10s);
    const auto closed = find_event<NodeSession::Closed>(node.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::silence);
    EXPECT_TRUE(closed->may_retry);
    EXPECT_EQ(node.session.deadline(), never);
}

TEST(NodeSession, RefusesAVersionItDidNotOffer)
{
    Node node;
    Welcome welcome = some_welcome;
    welcome.version = 2;
    node.hear(welcome);
    const auto closed = find_event<NodeSession::Closed>(node.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::version);
    EXPECT_FALSE(closed->may_retry);
}

TEST(NodeSession, TellsWhyTheGatewayCloses)
{
    for (const bool welcomed : {false, true}) {
        Node node = welcomed ? Node::established() : Node{};
        node.hear(Closing{.reason = ClosingReason::revoked, .message = "token 12 was revoked"});
        const auto closed = find_event<NodeSession::Closed>(node.session);
        ASSERT_TRUE(closed);
        EXPECT_EQ(closed->reason, ClosingReason::revoked);
        EXPECT_EQ(closed->message, "token 12 was revoked");
        EXPECT_FALSE(closed->may_retry);
    }
}

TEST(NodeSession, ClosesAfterEightSecondsOfSilenceAndNotBefore)
{
    Node node = Node::established();
    node.session.handle_timeout(start + 8s - 1ns);
    EXPECT_FALSE(find_event<NodeSession::Closed>(node.session));
    node.session.handle_timeout(start + 8s);
    const auto closed = find_event<NodeSession::Closed>(node.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::silence);
}

TEST(NodeSession, CountsBinaryMessagesAsSignsOfLife)
{
    Node node = Node::established();
    node.session.handle_binary_seen(start + 7s);
    node.session.handle_timeout(start + 15s - 1ns);
    EXPECT_FALSE(find_event<NodeSession::Closed>(node.session));
    node.session.handle_timeout(start + 15s);
    EXPECT_TRUE(find_event<NodeSession::Closed>(node.session));
}

TEST(NodeSession, MeasuresTheRttOfEachAnsweredPingOnce)
{
    Node node;
    node.hear(some_welcome);
    events_of(node.session);
    node.now += 40ms;
    node.hear(Pong{1});
    node.hear(Pong{1});
    node.hear(Pong{77});
    const auto events = events_of(node.session);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(std::get<NodeSession::RttMeasured>(events[0]).rtt, 40ms);
}

TEST(NodeSession, PingsAtItsIntervalWhateverElseItHears)
{
    Node node = Node::established();
    EXPECT_EQ(node.session.deadline(), start + 3s);
    node.session.handle_binary_seen(start + 2s);
    EXPECT_EQ(node.session.deadline(), start + 3s);
    node.session.handle_timeout(start + 3s);
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{Ping{2}});
    EXPECT_EQ(node.session.deadline(), start + 6s);
}

TEST(NodeSession, PingsAtOnceToShowUpButOnceASecondAtMost)
{
    Node node = Node::established();
    node.session.show_up(start + 300ms);
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{});
    EXPECT_EQ(node.session.deadline(), start + 1s);
    node.session.show_up(start + 2s);
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{Ping{2}});
    EXPECT_EQ(node.session.deadline(), start + 5s) << "and then as usual";
}

TEST(NodeSession, AnswersAPing)
{
    Node node = Node::established();
    node.hear(Ping{99});
    EXPECT_EQ(transmits_of(node.session), std::vector<Message>{Pong{99}});
}

TEST(NodeSession, SendsWhatItsOwnerCommandsOnceEstablished)
{
    Node node;
    transmits_of(node.session);
    node.session.list(start, 1);
    EXPECT_TRUE(transmits_of(node.session).empty());

    Node ready = Node::established();
    ready.session.list(start, 1);
    ready.session.introduce(start, 2, "home", pair_of(3), true);
    ready.session.release(start, pair_of(3));
    EXPECT_EQ(transmits_of(ready.session),
              (std::vector<Message>{
                  List{1}, Introduce{.id = 2, .agent = "home", .pair = pair_of(3), .resume = true},
                  Release{.pair = pair_of(3), .client_key = {}}}));
}

TEST(NodeSession, PutsAListTogetherFromItsParts)
{
    Node node = Node::established();
    const auto part = [](std::string name, bool more) {
        Agent agent{.name = std::move(name), .software = "s", .address = {}};
        return Agents{.id = 5, .agents = {agent}, .more = more};
    };
    node.hear(part("a", true));
    EXPECT_TRUE(events_of(node.session).empty());
    node.hear(part("b", false));
    const auto list = find_event<NodeSession::AgentList>(node.session);
    ASSERT_TRUE(list);
    EXPECT_EQ(list->id, 5U);
    ASSERT_EQ(list->agents.size(), 2U);
    EXPECT_EQ(list->agents[1].name, "b");
}

TEST(NodeSession, RefusesAListWithoutEnd)
{
    Node node = Node::established();
    Agents part{.id = 5, .agents = {}, .more = true};
    part.agents.assign(max_agents_per_message, Agent{.name = "a", .software = "s", .address = {}});
    for (int i = 0; i < 201; ++i)
        node.hear(part);
    const auto closed = find_event<NodeSession::Closed>(node.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::protocol_error);
}

TEST(NodeSession, RefusesMessagesThatAreNotForItsRole)
{
    const Introduction for_agents{.pair = pair_of(1), .client = "c", .user = "u", .policies = {}};
    const Introduced for_clients{.pair = pair_of(1), .agent = "a"};
    const Interrupted by_key{.pair = pair_of(1), .client_key = pin_of(1)};
    const Interrupted by_id{.pair = pair_of(1), .client_key = {}};

    struct Case {
        Role role;
        Message message;
        bool welcome;
    };

    for (const Case& c :
         {Case{Role::agent, for_agents, true}, Case{Role::client, for_agents, false},
          Case{Role::agent, for_clients, false}, Case{Role::client, for_clients, true},
          Case{Role::agent, by_key, true}, Case{Role::client, by_key, false},
          Case{Role::agent, by_id, false}, Case{Role::client, by_id, true},
          Case{Role::agent, Agents{}, false}, Case{Role::client, List{1}, false},
          Case{Role::client, some_welcome, false}}) {
        Node node = Node::established(c.role);
        node.hear(c.message);
        EXPECT_EQ(node.session.is_established(), c.welcome) << format(c.message);
        EXPECT_EQ(events_of(node.session).size(), 1U) << format(c.message);
    }
}

TEST(NodeSession, IgnoresWhatALaterVersionMaySay)
{
    Node node = Node::established();
    node.hear(Unknown{"weather"});
    EXPECT_TRUE(node.session.is_established());
    EXPECT_TRUE(events_of(node.session).empty());
}

TEST(NodeSession, SaysAndDoesNothingAfterItHasClosed)
{
    Node node = Node::established();
    node.session.handle_text(start, "nonsense");
    EXPECT_EQ(events_of(node.session).size(), 1U);
    node.hear(some_welcome);
    node.hear(Ping{1});
    node.session.list(start, 1);
    node.session.handle_binary_seen(start);
    node.session.handle_timeout(start + 1h);
    EXPECT_FALSE(node.session.poll_event());
    EXPECT_FALSE(node.session.poll_transmit());
    EXPECT_EQ(node.session.deadline(), never);
}

// ---- the gateway's end

TEST(GatewaySession, AsksItsOwnerAboutAHelloAndWelcomesTheNode)
{
    Gateway gateway{Role::client, {.features = {"beta", "gamma"}}};
    gateway.hear(hello_of(1));
    const auto received = find_event<GatewaySession::HelloReceived>(gateway.session);
    ASSERT_TRUE(received);
    EXPECT_EQ(received->hello, hello_of(1));
    EXPECT_TRUE(transmits_of(gateway.session).empty());

    gateway.session.accept(gateway.now, {.session = "s1", .name = "home", .user = "ann"});
    EXPECT_EQ(transmits_of(gateway.session), (std::vector<Message>{some_welcome, Ping{1}}));
}

TEST(GatewaySession, RefusesANodeWithTheOwnersReason)
{
    Gateway gateway;
    gateway.hear(hello_of(1));
    gateway.session.refuse(gateway.now, ClosingReason::unauthorized, "policy 7 has expired");
    EXPECT_EQ(transmits_of(gateway.session),
              (std::vector<Message>{Closing{.reason = ClosingReason::unauthorized,
                                            .message = "policy 7 has expired"}}));
    EXPECT_TRUE(find_event<GatewaySession::Closed>(gateway.session));
    gateway.session.accept(gateway.now, {});
    EXPECT_TRUE(transmits_of(gateway.session).empty());
}

TEST(GatewaySession, ClosesWithoutAVersionInCommon)
{
    Gateway gateway;
    Hello hello = hello_of(1);
    hello.version_min = newest_version + 1;
    hello.version_max = newest_version + 5;
    gateway.hear(hello);
    const auto closed = find_event<GatewaySession::Closed>(gateway.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::version);
}

TEST(GatewaySession, ChoosesTheNewestVersionInCommon)
{
    Gateway gateway;
    Hello hello = hello_of(1);
    hello.version_min = 0;
    hello.version_max = 1'000;
    gateway.hear(hello);
    gateway.session.accept(gateway.now, {.session = "s", .name = "n", .user = "u"});
    EXPECT_EQ(std::get<Welcome>(transmits_of(gateway.session).at(0)).version, newest_version);
}

TEST(GatewaySession, WaitsTenSecondsForAHello)
{
    Gateway gateway;
    EXPECT_EQ(gateway.session.deadline(), start + 10s);
    gateway.session.handle_timeout(start + 10s - 1ns);
    EXPECT_FALSE(gateway.session.poll_event());
    gateway.session.handle_timeout(start + 10s);
    EXPECT_TRUE(find_event<GatewaySession::Closed>(gateway.session));
    EXPECT_EQ(gateway.session.deadline(), never);
}

TEST(GatewaySession, TakesNothingButAHelloFirst)
{
    for (const Message& message : std::vector<Message>{Ping{1}, List{1}, Unknown{"x"}}) {
        Gateway gateway;
        gateway.hear(message);
        const auto closed = find_event<GatewaySession::Closed>(gateway.session);
        ASSERT_TRUE(closed) << format(message);
        EXPECT_EQ(closed->reason, ClosingReason::protocol_error);
    }
    Gateway gateway;
    gateway.session.handle_binary_seen(start);
    EXPECT_TRUE(find_event<GatewaySession::Closed>(gateway.session));
}

TEST(GatewaySession, TakesNothingUntilItHasAnsweredTheHello)
{
    Gateway gateway;
    gateway.hear(hello_of(1));
    gateway.hear(List{1});
    EXPECT_TRUE(find_event<GatewaySession::Closed>(gateway.session));
}

TEST(GatewaySession, PassesOnWhatTheRoleMaySay)
{
    const Release of_agent{.pair = pair_of(1), .client_key = pin_of(1)};
    const Release of_client{.pair = pair_of(1), .client_key = {}};
    const Introduce introduce{.id = 1, .agent = "a", .pair = pair_of(1), .resume = false};

    struct Case {
        Role role;
        Message message;
        bool allowed;
    };

    for (const Case& c :
         {Case{Role::client, List{1}, true}, Case{Role::agent, List{1}, false},
          Case{Role::client, introduce, true}, Case{Role::agent, introduce, false},
          Case{Role::client, of_client, true}, Case{Role::agent, of_client, false},
          Case{Role::client, of_agent, false}, Case{Role::agent, of_agent, true},
          Case{Role::client, hello_of(1), false}, Case{Role::client, Closing{}, false},
          Case{Role::client, some_welcome, false}}) {
        Gateway gateway = Gateway::established(c.role);
        gateway.hear(c.message);
        EXPECT_EQ(gateway.session.is_established(), c.allowed) << format(c.message);
        const auto events = events_of(gateway.session);
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(std::holds_alternative<GatewaySession::MessageReceived>(events[0]), c.allowed);
    }
}

TEST(GatewaySession, AgentMayNotBringPolicies)
{
    Gateway gateway{Role::agent};
    Hello hello = hello_of(1);
    hello.policies = {"a.b.c"};
    gateway.hear(hello);
    EXPECT_TRUE(find_event<GatewaySession::Closed>(gateway.session));
}

TEST(GatewaySession, ClosesASilentNode)
{
    Gateway gateway = Gateway::established();
    gateway.session.handle_timeout(start + 8s - 1ns);
    EXPECT_FALSE(find_event<GatewaySession::Closed>(gateway.session));
    gateway.session.handle_timeout(start + 8s);
    const auto closed = find_event<GatewaySession::Closed>(gateway.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::silence);
}

TEST(GatewaySession, AllowsABurstAndThenTheLongRunRate)
{
    Gateway gateway = Gateway::established();
    for (int i = 0; i < 199; ++i) // the hello was the first of 200
        gateway.hear(Unknown{"x"});
    EXPECT_TRUE(gateway.session.is_established());
    for (int i = 0; i < 500; ++i) {
        gateway.now += 20ms;
        gateway.hear(Unknown{"x"});
    }
    EXPECT_TRUE(gateway.session.is_established());
    gateway.hear(Unknown{"x"});
    const auto closed = find_event<GatewaySession::Closed>(gateway.session);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason, ClosingReason::protocol_error);
}

TEST(GatewaySession, SendsForTheRegistryOnlyWhileEstablished)
{
    Gateway early;
    early.session.send(Interrupted{.pair = pair_of(1), .client_key = {}});
    EXPECT_TRUE(transmits_of(early.session).empty());

    Gateway gateway = Gateway::established();
    gateway.session.send(Interrupted{.pair = pair_of(1), .client_key = {}});
    EXPECT_EQ(transmits_of(gateway.session).size(), 1U);
    gateway.session.close(start, ClosingReason::shutdown, "restart");
    gateway.session.send(Interrupted{.pair = pair_of(1), .client_key = {}});
    EXPECT_EQ(
        transmits_of(gateway.session),
        (std::vector<Message>{Closing{.reason = ClosingReason::shutdown, .message = "restart"}}));
}

// ---- both

TEST(Sessions, StayEstablishedForAnHourOfNothingButPings)
{
    NodeSession node{{}, Role::agent, hello_of(1), start};
    GatewaySession gateway{{}, Role::agent, start};
    constexpr Duration one_way = 400ms;

    struct Flight {
        Instant at;
        bool to_gateway;
        std::string text;
    };

    std::deque<Flight> flights;
    std::size_t rtts = 0;
    Instant now = start;
    while (now < start + 1h) {
        while (auto text = node.poll_transmit())
            flights.push_back({now + one_way, true, std::move(*text)});
        while (auto text = gateway.poll_transmit())
            flights.push_back({now + one_way, false, std::move(*text)});
        while (auto event = gateway.poll_event()) {
            ASSERT_FALSE(std::holds_alternative<GatewaySession::Closed>(*event));
            if (std::holds_alternative<GatewaySession::HelloReceived>(*event))
                gateway.accept(now, {.session = "s", .name = "n", .user = "u"});
        }
        while (auto event = node.poll_event()) {
            ASSERT_FALSE(std::holds_alternative<NodeSession::Closed>(*event));
            if (const auto* rtt = std::get_if<NodeSession::RttMeasured>(&*event)) {
                EXPECT_EQ(rtt->rtt, 2 * one_way);
                ++rtts;
            }
        }
        if (auto text = gateway.poll_transmit()) // the welcome of just now
            flights.push_back({now + one_way, false, std::move(*text)});

        now = std::min(node.deadline(), gateway.deadline());
        if (!flights.empty())
            now = std::min(now, flights.front().at);
        if (!flights.empty() && flights.front().at == now) {
            const Flight flight = std::move(flights.front());
            flights.pop_front();
            if (flight.to_gateway)
                gateway.handle_text(now, flight.text);
            else
                node.handle_text(now, flight.text);
        }
        node.handle_timeout(now);
        gateway.handle_timeout(now);
    }
    EXPECT_TRUE(node.is_established() && gateway.is_established());
    EXPECT_GT(rtts, 1'190U);
}

} // namespace
} // namespace narrowlink::control

#include "narrowlink/control/registry.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::control {
namespace {

using namespace std::chrono_literals;

constexpr SessionId a1{11}, a2{12}, a3{13}, c1{21}, c2{22}, c3{23};

access::Policy policy_for(std::optional<std::string> agent, access::Policy::Type type)
{
    return {.id = 1,
            .type = type,
            .rules = {{.agent = std::move(agent), .target = "*", .port = {}, .protocol = {}}}};
}

access::Policy white_list_for(std::optional<std::string> agent)
{
    return policy_for(std::move(agent), access::Policy::Type::white_list);
}

/// A registry, and the sessions' and the forwarding's view of what it ordered.
class Books {
public:
    explicit Books(Registry::Config config = {}) : registry{config} {}

    ErrorCode agent(SessionId session, std::string name = "home", std::string user = "ann",
                    std::uint8_t key = 100)
    {
        return drained(
            registry.add_agent(now, session,
                               {.user = std::move(user),
                                .name = std::move(name),
                                .token = fmt::format("token-{}", session_number(session)),
                                .key = pin_of(key),
                                .instance = instance_of(key),
                                .software = "test",
                                .address = {}}));
    }

    ErrorCode client(SessionId session, std::uint8_t key = 1, std::string user = "ann",
                     std::vector<access::Policy> policies = {})
    {
        return drained(
            registry.add_client(now, session,
                                {.user = std::move(user),
                                 .name = "laptop",
                                 .token = fmt::format("token-{}", session_number(session)),
                                 .key = pin_of(key),
                                 .instance = instance_of(key),
                                 .software = "test",
                                 .address = {}},
                                std::move(policies)));
    }

    void introduce(SessionId client, wire::PairId pair, bool resume = false,
                   std::string agent = "home", std::uint64_t id = 7)
    {
        handle(client,
               Introduce{.id = id, .agent = std::move(agent), .pair = pair, .resume = resume});
    }

    void handle(SessionId session, const Message& message)
    {
        registry.handle(now, session, message);
        drain();
    }

    void remove(SessionId session)
    {
        registry.remove(now, session);
        drain();
    }

    void close(SessionId session, ClosingReason reason)
    {
        registry.close(now, session, reason, "because");
        drain();
    }

    void revoke(std::string_view token)
    {
        registry.revoke(now, token);
        drain();
    }

    void pass(Duration duration)
    {
        now += duration;
        registry.handle_timeout(now);
        drain();
    }

    /// What a session was sent since the last call.
    std::vector<Message> heard(SessionId session) { return std::exchange(heard_[session], {}); }

    /// The only message of that type that the session was sent since the last call.
    template <class T>
    T heard_one(SessionId session)
    {
        std::vector<T> found;
        for (const Message& message : heard(session))
            if (const T* match = std::get_if<T>(&message))
                found.push_back(*match);
        EXPECT_EQ(found.size(), 1U);
        return found.empty() ? T{} : found.front();
    }

    /// Where a relay message of `from` with `handle` would arrive, and with which handle.
    std::optional<std::pair<SessionId, PairHandle>> way(SessionId from, PairHandle handle) const
    {
        const auto route = routes_.find({from, handle});
        return route == routes_.end() ? std::nullopt : std::optional{route->second};
    }

    [[nodiscard]] std::size_t routes() const { return routes_.size(); }

    std::vector<std::pair<SessionId, ClosingReason>> closed() { return std::exchange(closed_, {}); }

    Registry registry;
    Instant now = start;

private:
    static std::uint64_t session_number(SessionId session)
    {
        return static_cast<std::uint64_t>(session);
    }

    ErrorCode drained(const Result<>& result)
    {
        drain();
        return result ? ErrorCode{} : result.error();
    }

    void drain()
    {
        while (auto action = registry.poll_action()) {
            if (auto* send = std::get_if<Registry::Send>(&*action)) {
                heard_[send->to].push_back(std::move(send->message));
            } else if (auto* route = std::get_if<Registry::Route>(&*action)) {
                EXPECT_TRUE(used_.insert({route->from, route->handle_at_from}).second)
                    << "a handle was used again";
                routes_[{route->from, route->handle_at_from}] = {route->to, route->handle_at_to};
            } else if (auto* unroute = std::get_if<Registry::Unroute>(&*action)) {
                EXPECT_EQ(routes_.erase({unroute->session, unroute->handle}), 1U);
            } else if (auto* close = std::get_if<Registry::Close>(&*action)) {
                closed_.emplace_back(close->session, close->reason);
            }
        }
    }

    std::map<SessionId, std::vector<Message>> heard_;
    std::map<std::pair<SessionId, PairHandle>, std::pair<SessionId, PairHandle>> routes_;
    std::set<std::pair<SessionId, PairHandle>> used_;
    std::vector<std::pair<SessionId, ClosingReason>> closed_;
};

/// An agent, a client and a pair of them that is up; nothing left unheard.
Books books_with_pair(PairHandle* client_handle = nullptr, PairHandle* agent_handle = nullptr)
{
    Books books;
    books.agent(a1);
    books.client(c1);
    books.introduce(c1, pair_of(1));
    const auto introduced = books.heard_one<Introduced>(c1);
    const auto introduction = books.heard_one<Introduction>(a1);
    if (client_handle)
        *client_handle = introduced.handle;
    if (agent_handle)
        *agent_handle = introduction.handle;
    return books;
}

using Closed = std::vector<std::pair<SessionId, ClosingReason>>;
using Messages = std::vector<Message>;

const Interrupted interrupted_client{.pair = pair_of(1), .client_key = {}};
const Interrupted interrupted_agent{.pair = pair_of(1), .client_key = pin_of(1)};
const Released released_client{.pair = pair_of(1), .client_key = {}};
const Released released_agent{.pair = pair_of(1), .client_key = pin_of(1)};

// ---- introduction

TEST(Registry, IntroducesBothEndsAndForwardsBothWays)
{
    Books books;
    books.agent(a1);
    books.client(c1, 1, "ann", {white_list_for("home")});
    books.introduce(c1, pair_of(1));

    const auto introduced = books.heard_one<Introduced>(c1);
    const auto introduction = books.heard_one<Introduction>(a1);
    EXPECT_EQ(introduced, (Introduced{.pair = pair_of(1),
                                      .handle = introduced.handle,
                                      .agent = "home",
                                      .key = pin_of(100),
                                      .instance = instance_of(100)}));
    EXPECT_EQ(introduction, (Introduction{.pair = pair_of(1),
                                          .handle = introduction.handle,
                                          .client = "laptop",
                                          .user = "ann",
                                          .key = pin_of(1),
                                          .instance = instance_of(1),
                                          .policies = {white_list_for("home")}}));
    EXPECT_EQ(books.way(c1, introduced.handle), std::pair(a1, introduction.handle));
    EXPECT_EQ(books.way(a1, introduction.handle), std::pair(c1, introduced.handle));
    EXPECT_EQ(books.registry.deadline(), never);
}

TEST(Registry, RoutesBeforeItTellsAnyoneAndTellsTheAgentFirst)
{
    Registry registry{{}};
    ASSERT_TRUE(registry.add_agent(start, a1, {.user = "u", .name = "home", .address = {}}));
    ASSERT_TRUE(registry.add_client(start, c1, {.user = "u", .name = "c", .address = {}}, {}));
    registry.handle(start, c1, Introduce{.id = 1, .agent = "home", .pair = pair_of(1)});
    EXPECT_TRUE(std::holds_alternative<Registry::Route>(*registry.poll_action()));
    EXPECT_TRUE(std::holds_alternative<Registry::Route>(*registry.poll_action()));
    EXPECT_EQ(std::get<Registry::Send>(*registry.poll_action()).to, a1);
    EXPECT_EQ(std::get<Registry::Send>(*registry.poll_action()).to, c1);
    EXPECT_TRUE(std::holds_alternative<Registry::PairUp>(*registry.poll_action()));
    EXPECT_FALSE(registry.poll_action());
}

TEST(Registry, RefusesAnAgentThatIsNotConnected)
{
    Books books;
    books.client(c1);
    books.introduce(c1, pair_of(1));
    const auto refused = books.heard_one<Refused>(c1);
    EXPECT_EQ(refused.id, 7U);
    EXPECT_EQ(refused.reason, RefusalReason::no_such_agent);
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, AnswersAlikeForAnAgentOfAnotherUserAndOneThatDoesNotExist)
{
    Books books;
    books.agent(a1, "home", "bob");
    books.client(c1, 1, "ann");
    books.introduce(c1, pair_of(1), false, "home");
    const auto others = books.heard(c1);
    books.remove(a1);
    books.introduce(c1, pair_of(1), false, "home");
    EXPECT_EQ(books.heard(c1), others);
    EXPECT_TRUE(books.heard(a1).empty());
}

TEST(Registry, RefusesAnInvisibleAgentWhetherItIsConnectedOrNot)
{
    for (const bool resume : {false, true}) {
        Books books;
        books.client(c1, 1, "ann", {white_list_for("office")});
        books.introduce(c1, pair_of(1), resume);
        const auto absent = books.heard(c1);
        books.agent(a1);
        books.introduce(c1, pair_of(1), resume);
        EXPECT_EQ(books.heard(c1), absent);
        EXPECT_TRUE(books.heard(a1).empty());
    }
}

TEST(Registry, BoundsThePairsOfOneClient)
{
    Books books{{.pairs_per_session = 2}};
    books.agent(a1);
    books.client(c1);
    books.introduce(c1, pair_of(1));
    books.introduce(c1, pair_of(2));
    books.heard(c1);
    books.introduce(c1, pair_of(3));
    EXPECT_EQ(books.heard_one<Refused>(c1).reason, RefusalReason::limit);
    books.introduce(c1, pair_of(2));
    EXPECT_EQ(books.heard_one<Introduced>(c1).pair, pair_of(2)) << "it had that one already";
    books.handle(c1, Release{.pair = pair_of(1), .client_key = {}});
    books.introduce(c1, pair_of(3));
    EXPECT_EQ(books.heard_one<Introduced>(c1).pair, pair_of(3));
}

TEST(Registry, ClosesAClientThatTakesOnePairToTwoAgents)
{
    Books books = books_with_pair();
    books.agent(a2, "office");
    books.introduce(c1, pair_of(1), false, "office");
    EXPECT_EQ(books.closed(), (Closed{{c1, ClosingReason::protocol_error}}));
    EXPECT_TRUE(books.heard(a2).empty());
}

// ---- visibility

std::vector<std::string> listed(Books& books, SessionId client)
{
    books.handle(client, List{3});
    std::vector<std::string> names;
    for (const Message& message : books.heard(client))
        for (const Agent& agent : std::get<Agents>(message).agents)
            names.push_back(agent.name);
    return names;
}

TEST(Registry, ListsTheConnectedAgentsOfTheClientsUser)
{
    Books books;
    books.agent(a1, "home");
    books.agent(a2, "office");
    books.agent(a3, "secret", "bob");
    books.client(c1);
    EXPECT_EQ(listed(books, c1), (std::vector<std::string>{"home", "office"}));
    books.remove(a1);
    EXPECT_EQ(listed(books, c1), (std::vector<std::string>{"office"}));
}

TEST(Registry, ListsWhatEachWhiteListNames)
{
    Books books;
    books.agent(a1, "home");
    books.agent(a2, "office");
    books.client(c1, 1, "ann", {white_list_for("office")});
    books.client(c2, 2, "ann", {white_list_for({}), white_list_for("home")});
    books.client(c3, 3, "ann", {policy_for("home", access::Policy::Type::black_list)});
    EXPECT_EQ(listed(books, c1), (std::vector<std::string>{"office"}));
    EXPECT_EQ(listed(books, c2), (std::vector<std::string>{"home"}));
    EXPECT_EQ(listed(books, c3), (std::vector<std::string>{"home", "office"}));
}

TEST(Registry, SaysSinceWhenAnAgentIsConnected)
{
    Books books;
    books.agent(a1);
    books.client(c1);
    books.pass(90s);
    books.handle(c1, List{3});
    EXPECT_EQ(books.heard_one<Agents>(c1).agents.at(0).connected_seconds, 90U);
}

TEST(Registry, SplitsALongList)
{
    Books books;
    for (std::uint64_t i = 0; i < 2 * max_agents_per_message; ++i)
        books.agent(SessionId{1'000 + i}, fmt::format("agent-{:03}", i));
    books.client(c1);
    books.handle(c1, List{3});
    const Messages parts = books.heard(c1);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_TRUE(std::get<Agents>(parts[0]).more);
    EXPECT_FALSE(std::get<Agents>(parts[1]).more);
    EXPECT_EQ(std::get<Agents>(parts[1]).agents.back().name, "agent-099");
}

TEST(Registry, AnswersAnEmptyList)
{
    Books books;
    books.client(c1);
    books.handle(c1, List{3});
    EXPECT_EQ(books.heard(c1), (Messages{Agents{.id = 3, .agents = {}, .more = false}}));
}

// ---- sessions that come and go

TEST(Registry, ReplacesAnAgentWhilePairsAreUp)
{
    PairHandle client_handle{}, agent_handle{};
    Books books = books_with_pair(&client_handle, &agent_handle);
    books.agent(a2, "home", "ann", 101);

    EXPECT_EQ(books.closed(), (Closed{{a1, ClosingReason::replaced}}));
    const auto introduced = books.heard_one<Introduced>(c1);
    const auto introduction = books.heard_one<Introduction>(a2);
    EXPECT_NE(introduced.handle, client_handle);
    EXPECT_EQ(introduced.key, pin_of(101));
    EXPECT_EQ(introduced.instance, instance_of(101));
    EXPECT_FALSE(books.way(c1, client_handle));
    EXPECT_FALSE(books.way(a1, agent_handle));
    EXPECT_EQ(books.way(c1, introduced.handle), std::pair(a2, introduction.handle));
    EXPECT_EQ(books.routes(), 2U);

    books.remove(a1); // its socket has closed at last
    EXPECT_TRUE(books.heard(c1).empty());
    EXPECT_EQ(books.routes(), 2U);
    EXPECT_EQ(books.registry.counts().agents, 1U);
}

TEST(Registry, InterruptsAndReintroducesWhenAnAgentIsAwayForAWhile)
{
    Books books = books_with_pair();
    books.remove(a1);
    EXPECT_EQ(books.heard(c1), Messages{interrupted_client});
    EXPECT_EQ(books.routes(), 0U);
    books.pass(24h);
    EXPECT_TRUE(books.heard(c1).empty()) << "the client decides how long it waits";
    books.agent(a2);
    EXPECT_EQ(books.heard_one<Introduced>(c1).pair, pair_of(1));
    EXPECT_EQ(books.heard_one<Introduction>(a2).pair, pair_of(1));
}

TEST(Registry, GivesAReturningClientItsPairAgain)
{
    PairHandle agent_handle{};
    Books books = books_with_pair(nullptr, &agent_handle);
    books.remove(c1);
    EXPECT_EQ(books.heard(a1), Messages{interrupted_agent});
    EXPECT_EQ(books.registry.deadline(), start + 10min);

    books.pass(9min);
    books.client(c2);
    books.introduce(c2, pair_of(1), true);
    const auto introduction = books.heard_one<Introduction>(a1);
    EXPECT_EQ(introduction.pair, pair_of(1));
    EXPECT_EQ(introduction.key, pin_of(1));
    EXPECT_NE(introduction.handle, agent_handle);
    EXPECT_EQ(books.heard_one<Introduced>(c2).pair, pair_of(1));
    EXPECT_EQ(books.registry.deadline(), never);
    EXPECT_EQ(books.registry.counts().pairs, 1U);
}

TEST(Registry, GivesThePairToTheNewSessionWhileTheOldOneSeemsAlive)
{
    PairHandle client_handle{}, agent_handle{};
    Books books = books_with_pair(&client_handle, &agent_handle);
    books.client(c2);
    books.introduce(c2, pair_of(1), true);
    EXPECT_EQ(books.heard(c1), Messages{interrupted_client});
    const auto introduced = books.heard_one<Introduced>(c2);
    EXPECT_FALSE(books.way(c1, client_handle));
    EXPECT_EQ(books.way(c2, introduced.handle)->first, a1);

    books.heard(a1);
    books.remove(c1); // the old session is noticed to be dead: it has nothing to do with the pair
    EXPECT_TRUE(books.heard(a1).empty());
    EXPECT_EQ(books.routes(), 2U);
}

TEST(Registry, ReleasesAPairWhoseClientDoesNotReturnInTime)
{
    Books books = books_with_pair();
    books.remove(c1);
    books.heard(a1);
    books.pass(10min - 1ns);
    EXPECT_TRUE(books.heard(a1).empty());
    books.pass(1ns);
    EXPECT_EQ(books.heard(a1), Messages{released_agent});
    EXPECT_EQ(books.registry.counts().pairs, 0U);
    EXPECT_EQ(books.registry.deadline(), never);
}

TEST(Registry, ForgetsAPairWhenBothEndsAreGone)
{
    Books books = books_with_pair();
    books.remove(c1);
    books.remove(a1);
    books.pass(10min);
    EXPECT_EQ(books.registry.counts().pairs, 0U);
    books.agent(a2);
    EXPECT_TRUE(books.heard(a2).empty());
}

TEST(Registry, GivesUpTheOldestPairsWithoutClientWhenTheyAreTooMany)
{
    Books books{{.clientless_pairs_per_user = 2}};
    books.agent(a1);
    for (std::uint8_t n = 1; n <= 3; ++n) {
        books.client(SessionId{n}, 1);
        books.introduce(SessionId{n}, pair_of(n));
        books.remove(SessionId{n});
        books.pass(1s);
    }
    EXPECT_EQ(books.registry.counts().pairs, 2U);
    EXPECT_EQ(books.heard_one<Released>(a1).pair, pair_of(1));
}

// ---- a gateway that has forgotten everything

TEST(Registry, HoldsAResumedPairUntilTheAgentIsBackAfterARestart)
{
    Books books;
    books.client(c1);
    books.introduce(c1, pair_of(1), true);
    EXPECT_EQ(books.heard(c1), Messages{interrupted_client});
    EXPECT_EQ(books.registry.deadline(), start + 10min);
    books.pass(2s);
    books.agent(a1);
    EXPECT_EQ(books.heard_one<Introduced>(c1).pair, pair_of(1));
    EXPECT_EQ(books.heard_one<Introduction>(a1).pair, pair_of(1));
    EXPECT_EQ(books.registry.deadline(), never);
}

TEST(Registry, ResumesAtOnceWhenTheAgentWasFasterAfterARestart)
{
    Books books;
    books.agent(a1);
    books.client(c1);
    books.introduce(c1, pair_of(1), true);
    EXPECT_EQ(books.heard_one<Introduced>(c1).pair, pair_of(1));
}

TEST(Registry, RefusesAResumedPairWhoseAgentDoesNotReturn)
{
    Books books;
    books.client(c1);
    books.introduce(c1, pair_of(1), true, "home", 99);
    books.heard(c1);
    books.pass(10min);
    const Messages heard = books.heard(c1);
    ASSERT_EQ(heard.size(), 1U) << "refused, and not released as well";
    EXPECT_EQ(std::get<Refused>(heard[0]).id, 99U);
    EXPECT_EQ(std::get<Refused>(heard[0]).reason, RefusalReason::no_such_agent);
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

// ---- clients that mean harm

TEST(Registry, KeepsPairsOfTwoClientsApartThatChoseTheSameId)
{
    PairHandle client_handle{}, agent_handle{};
    Books books = books_with_pair(&client_handle, &agent_handle);
    books.client(c2, 2);
    books.introduce(c2, pair_of(1), true);
    const auto introduction = books.heard_one<Introduction>(a1);
    EXPECT_EQ(introduction.key, pin_of(2));
    EXPECT_EQ(books.way(c1, client_handle), std::pair(a1, agent_handle)) << "untouched";
    EXPECT_TRUE(books.heard(c1).empty());

    books.handle(c2, Release{.pair = pair_of(1), .client_key = {}});
    EXPECT_EQ(books.heard_one<Released>(a1).client_key, pin_of(2));
    EXPECT_EQ(books.way(c1, client_handle), std::pair(a1, agent_handle));
    EXPECT_TRUE(books.heard(c1).empty());
}

TEST(Registry, KeepsPairsOfTwoUsersApart)
{
    PairHandle client_handle{}, agent_handle{};
    Books books = books_with_pair(&client_handle, &agent_handle);
    books.agent(a2, "home", "bob");
    books.client(c2, 1, "bob");
    books.introduce(c2, pair_of(1), true);
    EXPECT_EQ(books.heard_one<Introduction>(a2).user, "bob");
    EXPECT_TRUE(books.heard(a1).empty());
    EXPECT_EQ(books.way(c1, client_handle), std::pair(a1, agent_handle));
}

TEST(Registry, LetsAnAgentReleaseOnlyItsOwnPairs)
{
    Books books = books_with_pair();
    books.agent(a2, "office");
    books.handle(a2, Release{.pair = pair_of(1), .client_key = pin_of(1)});
    EXPECT_TRUE(books.heard(c1).empty());
    EXPECT_EQ(books.routes(), 2U);
}

TEST(Registry, IgnoresSessionsItDoesNotKnow)
{
    Books books;
    books.introduce(c1, pair_of(1));
    books.remove(c1);
    books.close(c1, ClosingReason::revoked);
    EXPECT_TRUE(books.closed().empty());
    EXPECT_TRUE(books.heard(c1).empty());
}

TEST(Registry, IgnoresAnAgentThatActsLikeAClient)
{
    Books books;
    books.agent(a1);
    books.agent(a2, "office");
    books.introduce(a2, pair_of(1));
    books.handle(a2, List{1});
    EXPECT_TRUE(books.heard(a2).empty());
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

// ---- endings

TEST(Registry, ReleasesFromTheClientsEnd)
{
    Books books = books_with_pair();
    books.handle(c1, Release{.pair = pair_of(1), .client_key = {}});
    EXPECT_EQ(books.heard(a1), Messages{released_agent});
    EXPECT_TRUE(books.heard(c1).empty());
    EXPECT_EQ(books.routes(), 0U);
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, ReleasesFromTheAgentsEnd)
{
    Books books = books_with_pair();
    books.handle(a1, Release{.pair = pair_of(1), .client_key = pin_of(1)});
    EXPECT_EQ(books.heard(c1), Messages{released_client});
    EXPECT_TRUE(books.heard(a1).empty());
    EXPECT_EQ(books.routes(), 0U);
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, ReleasesFromBothEndsAtOnce)
{
    Books books = books_with_pair();
    books.handle(c1, Release{.pair = pair_of(1), .client_key = {}});
    books.handle(a1, Release{.pair = pair_of(1), .client_key = pin_of(1)});
    EXPECT_EQ(books.heard(a1), Messages{released_agent});
    EXPECT_TRUE(books.heard(c1).empty());
}

TEST(Registry, ReleasesAPairWhoseClientIsAway)
{
    Books books = books_with_pair();
    books.remove(c1);
    books.handle(a1, Release{.pair = pair_of(1), .client_key = pin_of(1)});
    EXPECT_EQ(books.registry.counts().pairs, 0U);
    EXPECT_EQ(books.registry.deadline(), never);
}

TEST(Registry, ReleasesThePairsOfARevokedClient)
{
    Books books = books_with_pair();
    books.revoke("token-21");
    EXPECT_EQ(books.closed(), (Closed{{c1, ClosingReason::revoked}}));
    EXPECT_EQ(books.heard(a1), Messages{released_agent});
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, ReleasesThePairsOfARevokedClientThatIsAway)
{
    Books books = books_with_pair();
    books.remove(c1);
    books.heard(a1);
    books.revoke("token-99");
    EXPECT_TRUE(books.heard(a1).empty());
    books.revoke("token-21");
    EXPECT_EQ(books.heard(a1), Messages{released_agent});
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, ReleasesThePairsOfARevokedAgent)
{
    Books books = books_with_pair();
    books.revoke("token-11");
    EXPECT_EQ(books.closed(), (Closed{{a1, ClosingReason::revoked}}));
    EXPECT_EQ(books.heard(c1), Messages{released_client});
    EXPECT_EQ(books.registry.counts().pairs, 0U);
}

TEST(Registry, OnlyInterruptsWhenASessionIsClosedForAnotherReason)
{
    Books books = books_with_pair();
    books.close(c1, ClosingReason::shutdown);
    EXPECT_EQ(books.heard(a1), Messages{interrupted_agent});
    EXPECT_EQ(books.registry.counts().pairs, 1U);
}

// ---- admission

TEST(Registry, BoundsTheSessionsOfOneUser)
{
    Books books{{.sessions_per_user = 2}};
    EXPECT_FALSE(books.agent(a1));
    EXPECT_FALSE(books.client(c1));
    EXPECT_EQ(books.client(c2), Error::too_many_sessions);
    EXPECT_EQ(books.agent(a2, "office"), Error::too_many_sessions);
    EXPECT_FALSE(books.agent(a3)) << "it takes the place of another";
    EXPECT_FALSE(books.client(c2, 2, "bob")) << "another user";
    books.remove(c1);
    EXPECT_FALSE(books.client(c3));
}

TEST(Registry, RefusesNamesThatNoMessageCanCarry)
{
    Books books;
    EXPECT_EQ(books.agent(a1, ""), Error::invalid_name);
    EXPECT_EQ(books.agent(a1, std::string(65, 'a')), Error::invalid_name);
    EXPECT_EQ(books.agent(a1, "a\x1b"), Error::invalid_name);
    EXPECT_EQ(books.client(c1, 1, ""), Error::invalid_name);
}

TEST(Registry, RefusesPoliciesThatNoIntroductionCanCarry)
{
    access::Policy policy = white_list_for("home");
    policy.rules.assign(1'000, access::Rule{.agent = std::string(60, 'a'),
                                            .target = std::string(60, 'b') + ".example",
                                            .port = {},
                                            .protocol = {}});
    Books books;
    EXPECT_EQ(books.client(c1, 1, "ann", {policy}), Error::policies_too_large);
    EXPECT_EQ(books.registry.counts().clients, 0U);
}

TEST(Registry, KeepsNothingWhenEverybodyIsGone)
{
    Books books = books_with_pair();
    books.remove(c1);
    books.remove(a1);
    books.pass(10min);
    const Registry::Counts counts = books.registry.counts();
    EXPECT_EQ(counts.agents + counts.clients + counts.pairs, 0U);
    EXPECT_EQ(books.routes(), 0U);
    EXPECT_EQ(books.registry.deadline(), never);
}

} // namespace
} // namespace narrowlink::control

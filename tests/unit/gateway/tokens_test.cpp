#include "narrowlink/gateway/tokens.hpp"

#include "narrowlink/access/join_string.hpp"
#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/clock.hpp"

#include "../io/temporary_directory.hpp"
#include "../program/ending.hpp"
#include "support/seeded_random.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::gateway {
namespace {

using testing::HasSubstr;

/// What `action` prints on stdout.
template <class Action>
std::string printed(Action action)
{
    testing::internal::CaptureStdout();
    try {
        action();
    } catch (...) {
        testing::internal::GetCapturedStdout();
        throw;
    }
    return testing::internal::GetCapturedStdout();
}

struct Tokens : testing::Test {
    std::string issue(const IssueCommand& command)
    {
        std::string line = printed([&] { issue_token(command, state, config, random); });
        EXPECT_EQ(line.back(), '\n');
        line.pop_back();
        EXPECT_EQ(line.find('\n'), std::string::npos) << "nothing but what was asked for";
        return line;
    }

    std::string policy(std::string user = "default")
    {
        IssueCommand command{
            .kind = access::TokenKind::policy, .name = "office", .user = std::move(user)};
        command.policy.rules.push_back(
            {.agent = {}, .target = *IpPrefix::parse("10.0.0.0/8"), .port = {}, .protocol = {}});
        return issue(command);
    }

    test::Ending ending_of_client_with(std::string policy_token)
    {
        const IssueCommand command{.kind = access::TokenKind::client,
                                   .name = "me",
                                   .policy_tokens = {std::move(policy_token)}};
        return test::ending_of([&] { issue(command); });
    }

    access::Token verified(const std::string& text)
    {
        return access::verify(text, state.secret(), io::unix_now()).value();
    }

    test::TemporaryDirectory directory;
    config::GatewayConfig config;
    SeededRandom random{1};
    State state{directory.path(), config, random};
};

TEST_F(Tokens, AnAgentGetsAJoinStringWithGatewayPinAndToken)
{
    config.public_address = {HostPort{"gateway.example", 8443}, "here"};
    const std::string line =
        issue({.kind = access::TokenKind::agent, .name = "home", .user = "alice"});
    const auto join = access::parse_join_string(line);
    ASSERT_TRUE(join);
    EXPECT_EQ(join->gateway, "wss://gateway.example:8443/");
    EXPECT_EQ(join->pin, state.certificate({"gateway.example"}).pin);
    ASSERT_EQ(join->tokens.size(), 1U);
    const auto token = std::get<access::AgentToken>(verified(join->tokens[0]));
    EXPECT_EQ(token.claims.name, "home");
    EXPECT_EQ(token.claims.user, "alice");
    EXPECT_EQ(state.tokens().list().at(0).id, token.claims.id);
}

TEST_F(Tokens, AJoinStringNamesTheEndpointOfTheLastRun)
{
    state.store_endpoint({"wss://elsewhere.example:444/", std::nullopt});
    const auto join =
        access::parse_join_string(issue({.kind = access::TokenKind::agent, .name = "home"}));
    EXPECT_EQ(join->gateway, "wss://elsewhere.example:444/");
    EXPECT_FALSE(join->pin);
}

TEST_F(Tokens, AClientGetsItsPoliciesWithIt)
{
    const std::string office = policy();
    const std::string line =
        issue({.kind = access::TokenKind::client, .name = "me", .policy_tokens = {office}});
    const auto join = access::parse_join_string(line);
    ASSERT_TRUE(join);
    ASSERT_EQ(join->tokens.size(), 2U);
    EXPECT_EQ(join->tokens[1], office);
    const auto client = std::get<access::ClientToken>(verified(join->tokens[0]));
    const auto bound = std::get<access::PolicyToken>(verified(office));
    EXPECT_EQ(client.policies, std::vector{bound.policy.id});
    EXPECT_NE(bound.policy.id, 0U);
}

TEST_F(Tokens, AClientIsBoundToGoodPoliciesOfItsOwnUserOnly)
{
    const access::PolicyToken expired{
        {.id = "00000000000000aa",
         .user = "default",
         .name = "office",
         .expires = io::unix_now() - std::chrono::hours{1}},
        {.id = 5, .type = access::Policy::Type::white_list, .rules = {}}};
    const access::AgentToken agent{{.id = "00000000000000bb",
                                    .user = "default",
                                    .name = "home",
                                    .expires = io::unix_now() + std::chrono::hours{1}}};
    const access::Secret other(32, std::byte{1});
    for (const std::string& text :
         {policy("bob"), access::sign(agent, state.secret()), access::sign(expired, state.secret()),
          access::sign(agent, other), std::string{"garbage"}, std::string{}}) {
        const auto ending = ending_of_client_with(text);
        EXPECT_EQ(ending.code, ExitCode::usage) << text;
        EXPECT_THAT(ending.sentence, HasSubstr("--policy")) << text;
    }
}

TEST_F(Tokens, APolicyThatNobodyCouldReadIsNotIssued)
{
    IssueCommand command{.kind = access::TokenKind::policy, .name = "office"};
    command.policy.rules.push_back(
        {.agent = {}, .target = std::string{"example.com"}, .port = {}, .protocol = {}});
    command.policy.rules.push_back(
        {.agent = {}, .target = std::string{"*.*"}, .port = {}, .protocol = {}});
    const auto ending = test::ending_of([&] { issue(command); });
    EXPECT_EQ(ending.code, ExitCode::usage);
    EXPECT_THAT(ending.sentence, HasSubstr("--rule number 2"));
    EXPECT_FALSE(state.has_issued_tokens());
}

TEST_F(Tokens, TheListShowsWhatBecameOfEachToken)
{
    EXPECT_EQ(printed([&] { list_tokens({.json = true}, state); }), "[]\n");
    issue({.kind = access::TokenKind::agent, .name = "home"});
    issue({.kind = access::TokenKind::client, .name = "me"});
    const std::string id = state.tokens().list().at(0).id;
    testing::internal::CaptureStderr();
    EXPECT_EQ(printed([&] { revoke_token({id}, state); }), "");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(id));

    const auto list =
        boost::json::parse(printed([&] { list_tokens({.json = true}, state); })).as_array();
    ASSERT_EQ(list.size(), 2U);
    for (const auto& entry : list)
        EXPECT_EQ(entry.at("revoked").as_bool(),
                  entry.at("id").as_string() == std::string_view{id});
    const std::string table = printed([&] { list_tokens({}, state); });
    EXPECT_THAT(table, HasSubstr("revoked\n"));
    EXPECT_THAT(table, HasSubstr("valid\n"));
}

TEST_F(Tokens, RevokingAnUnknownTokenIsAMistakeOfTheUser)
{
    const auto ending = test::ending_of([&] { revoke_token({"nonsense"}, state); });
    EXPECT_EQ(ending.code, ExitCode::usage);
    EXPECT_THAT(ending.sentence, HasSubstr("nonsense"));
}

TEST_F(Tokens, TheFirstJoinLinesAreForOneAgentAndOneClient)
{
    const State::Endpoint endpoint{"wss://gateway.example:443/", std::nullopt};
    const std::string lines = first_join_lines(state, endpoint, random);
    std::vector<access::TokenKind> kinds;
    for (std::size_t at = lines.find("nl1."); at != std::string::npos;
         at = lines.find("nl1.", at + 1)) {
        const auto join = access::parse_join_string(lines.substr(at, lines.find('\n', at) - at));
        ASSERT_TRUE(join);
        kinds.push_back(access::kind_of(verified(join->tokens[0])));
    }
    EXPECT_EQ(kinds, (std::vector{access::TokenKind::agent, access::TokenKind::client}));
}

} // namespace
} // namespace narrowlink::gateway

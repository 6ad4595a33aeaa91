#include "narrowlink/program/program.hpp"

#include "narrowlink/config/agent_config.hpp"
#include "narrowlink/config/client_config.hpp"

#include "../io/temporary_directory.hpp"
#include "ending.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::program {
namespace {

using access::TokenKind;
using testing::HasSubstr;
using testing::StartsWith;

const access::Secret secret(32, std::byte{0x5a});

access::Claims claims(std::string name)
{
    return {.id = "00000000000000aa",
            .user = "alice",
            .name = std::move(name),
            .expires = UnixTime{std::chrono::seconds{4'000'000'000}}};
}

std::string agent_token(std::string name = "home")
{
    return access::sign(access::AgentToken{claims(std::move(name))}, secret);
}

std::string client_token(std::string name = "me")
{
    return access::sign(access::ClientToken{claims(std::move(name)), {}}, secret);
}

std::string policy_token()
{
    return access::sign(access::PolicyToken{claims("office"), {.id = 7, .type = {}, .rules = {}}},
                        secret);
}

crypto::Pin pin()
{
    crypto::Pin value;
    value.bytes.fill(std::byte{0x11});
    return value;
}

std::string join_string(std::string url, std::string token = client_token())
{
    return access::format({std::move(url), pin(), {std::move(token)}});
}

TEST(MembershipOf, ReadsEverythingThatAJoinStringSays)
{
    const std::string policy = policy_token();
    const Membership membership = membership_of(
        TokenKind::client,
        access::format({"wss://Gateway.Example:8443/nl/x", pin(), {client_token(), policy}}), "");
    EXPECT_TRUE(membership.gateway.tls);
    EXPECT_EQ(membership.gateway.gateway, (HostPort{"gateway.example", 8443}));
    EXPECT_EQ(membership.gateway.path, "/nl/x");
    EXPECT_EQ(membership.gateway.bearer, client_token());
    EXPECT_EQ(membership.gateway.pin, pin().bytes);
    EXPECT_EQ(membership.policies, std::vector{policy});
}

TEST(MembershipOf, ReadsEveryFormOfUrl)
{
    const auto gateway_of = [](std::string url) {
        return membership_of(TokenKind::client, join_string(std::move(url)), "").gateway;
    };
    EXPECT_FALSE(gateway_of("ws://gateway.example:80/").tls);
    EXPECT_EQ(gateway_of("wss://gateway.example:443").path, "/");
    EXPECT_EQ(gateway_of("wss://[2001:db8::1]:443/").gateway, (HostPort{"2001:db8::1", 443}));
    EXPECT_EQ(gateway_of("wss://192.0.2.1:443/").gateway, (HostPort{"192.0.2.1", 443}));
}

TEST(MembershipOf, RefusesAUrlThatNamesNoHostAndPort)
{
    for (const char* url :
         {"wss://gateway.example", "wss://gateway.example/", "wss://:443/",
          "wss://gateway.example:0/", "wss://gateway.example:65536/", "wss://me@gateway:443/",
          "wss://2001:db8::1/", "wss:///path", "wss://gateway:443?query"}) {
        const auto ending = test::ending_of(
            [&] { membership_of(TokenKind::client, join_string(url), "--join: "); });
        EXPECT_EQ(ending.code, ExitCode::configuration) << url;
        EXPECT_THAT(ending.sentence, StartsWith("--join: "));
        EXPECT_THAT(ending.sentence, HasSubstr(url));
    }
}

TEST(MembershipOf, RefusesAJoinStringThatWasCutAnywhere)
{
    const std::string whole = join_string("wss://gateway.example:443/");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const auto ending = test::ending_of(
            [&] { membership_of(TokenKind::client, whole.substr(0, length), "--join: "); });
        ASSERT_EQ(ending.code, ExitCode::configuration) << length;
        ASSERT_THAT(ending.sentence, StartsWith("--join: "));
        ASSERT_THAT(ending.sentence,
                    HasSubstr(length == 0 ? "is not a join string" : "was cut or altered"))
            << length;
    }
}

TEST(MembershipOf, RefusesAJoinStringWithOneWrongLetter)
{
    const std::string whole = join_string("wss://gateway.example:443/");
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string altered = whole;
        altered[at] = altered[at] == 'x' ? 'y' : 'x';
        const auto ending = test::ending_of([&] { membership_of(TokenKind::client, altered, ""); });
        ASSERT_EQ(ending.code, ExitCode::configuration) << altered;
    }
}

TEST(MembershipOf, TakesAJoinStringWithTheLineBreakOfItsFile)
{
    EXPECT_EQ(membership_of(TokenKind::client, "  " + join_string("wss://a:1/") + "\n", "")
                  .gateway.gateway,
              (HostPort{"a", 1}));
}

TEST(MembershipOf, SaysForWhomATokenOfTheWrongKindIs)
{
    struct Row {
        TokenKind wanted;
        std::string token;
        const char* sentence;
    };

    const Row table[] = {
        {TokenKind::client, agent_token(),
         "the token is for an agent; issue one for a client with"},
        {TokenKind::agent, client_token(),
         "the token is for a client; issue one for an agent with"},
        {TokenKind::client, policy_token(),
         "the token is for a policy; issue one for a client with"},
    };
    for (const Row& row : table) {
        const auto ending = test::ending_of(
            [&] { membership_of(row.wanted, join_string("wss://a:1/", row.token), "--join: "); });
        EXPECT_EQ(ending.code, ExitCode::token_refused);
        EXPECT_THAT(ending.sentence, StartsWith(std::string{"--join: "} + row.sentence));
        EXPECT_THAT(ending.sentence,
                    HasSubstr("token " + std::string{access::to_string(row.wanted)} + " --name"));
    }
}

TEST(MembershipOf, LeavesATokenThatItCannotReadToTheGateway)
{
    for (const char* token : {"opaque", "a.b", "a.b.c", "..", "e30.e30.x", "e30.eyJraW5kIjo3fQ.x",
                              "e30.eyJraW5kIjoicm9ib3QifQ.x"}) // {}, {"kind":7}, {"kind":"robot"}
        EXPECT_EQ(
            membership_of(TokenKind::client, join_string("wss://a:1/", token), "").gateway.bearer,
            token);
}

struct FindMembership : testing::Test {
    static config::Membership from(const std::string& yaml)
    {
        const auto outcome = config::load_client_config(yaml, "client.yaml");
        return std::get<config::ClientConfig>(outcome).membership;
    }

    static std::string endpoints_yaml(const std::string& token)
    {
        return "endpoints:\n"
               "  - !SelfHosted\n"
               "    gateway: endpoints.example:443\n"
               "    token: " +
               token +
               "\n"
               "    protocol: Ws\n"
               "    pin: " +
               to_string(pin()) + "\n";
    }

    [[nodiscard]] std::string host_of(const std::optional<std::string>& command_line,
                                      const config::Membership& configured) const
    {
        return find_membership(TokenKind::client, command_line, configured, state.path())
            .gateway.gateway.host;
    }

    test::TemporaryDirectory state;
    std::string typed = join_string("wss://typed.example:443/");
    config::Membership joined = from("join: " + join_string("wss://joined.example:443/"));
    config::Membership endpoints = from(endpoints_yaml(client_token()));
};

TEST_F(FindMembership, TheFirstThereIsCounts)
{
    save_join_string(state.path(), join_string("wss://saved.example:443/"));
    EXPECT_EQ(host_of(typed, joined), "typed.example");
    EXPECT_EQ(host_of(typed, endpoints), "typed.example");
    EXPECT_EQ(host_of({}, joined), "joined.example");
    EXPECT_EQ(host_of({}, endpoints), "endpoints.example");
    EXPECT_EQ(host_of({}, {}), "saved.example");
}

TEST_F(FindMembership, AWrongOneIsNotPassedOver)
{
    save_join_string(state.path(), join_string("wss://saved.example:443/"));
    const auto typed_wrong = test::ending_of([&] { (void)host_of("nl1.cut", joined); });
    EXPECT_EQ(typed_wrong.code, ExitCode::configuration);
    EXPECT_THAT(typed_wrong.sentence, StartsWith("--join: "));
    const auto configured_wrong =
        test::ending_of([&] { (void)host_of({}, from("join: nl1.cut")); });
    EXPECT_EQ(configured_wrong.code, ExitCode::configuration);
    EXPECT_THAT(configured_wrong.sentence, StartsWith("client.yaml:1:7: join: "));
    state.put("join", "nl1.cut");
    const auto saved_wrong = test::ending_of([&] { (void)host_of({}, {}); });
    EXPECT_EQ(saved_wrong.code, ExitCode::configuration);
    EXPECT_THAT(saved_wrong.sentence, StartsWith((state.path() / "join").string() + ": "));
}

TEST_F(FindMembership, ReadsAnEndpointOfTheConfiguration)
{
    const Membership membership = find_membership(TokenKind::client, {}, endpoints, state.path());
    EXPECT_FALSE(membership.gateway.tls);
    EXPECT_EQ(membership.gateway.pin, pin().bytes);
    EXPECT_EQ(membership.gateway.bearer, client_token());
    EXPECT_EQ(membership.gateway.path, "/");

    const auto wrong =
        test::ending_of([&] { (void)host_of({}, from(endpoints_yaml(agent_token()))); });
    EXPECT_EQ(wrong.code, ExitCode::token_refused);
    EXPECT_THAT(wrong.sentence, StartsWith("client.yaml:4:12: endpoints[0].token: "));
}

TEST_F(FindMembership, SaysHowToJoinWhenThereIsNone)
{
    for (const auto& [kind, command] :
         {std::pair{TokenKind::client, "narrowlink-client join STRING"},
          std::pair{TokenKind::agent, "--join STRING"}}) {
        const auto ending =
            test::ending_of([&] { (void)find_membership(kind, {}, {}, state.path()); });
        EXPECT_EQ(ending.code, ExitCode::configuration);
        EXPECT_THAT(ending.sentence, HasSubstr(command));
    }
}

TEST_F(FindMembership, ASavedJoinStringIsSecret)
{
    save_join_string(state.path(), typed);
    EXPECT_EQ(state.mode("join"), 0600U);
    EXPECT_EQ(host_of({}, {}), "typed.example");
    const auto ending = test::ending_of([&] { save_join_string(state.path() / "missing", typed); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr("missing"));
}

} // namespace
} // namespace narrowlink::program

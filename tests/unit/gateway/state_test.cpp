#include "narrowlink/gateway/state.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/clock.hpp"

#include "../io/temporary_directory.hpp"
#include "../program/ending.hpp"
#include "support/seeded_random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::gateway {
namespace {

using testing::HasSubstr;

struct StateTest : testing::Test {
    State open() { return {directory.path(), config, random}; }

    static access::Claims claims(std::string id, std::string name, std::chrono::seconds lifetime)
    {
        return {.id = std::move(id),
                .user = "alice",
                .name = std::move(name),
                .expires = io::unix_now() + lifetime};
    }

    static access::AgentToken agent_token(std::string id = "00000000000000aa")
    {
        return {claims(std::move(id), "home", std::chrono::hours{1})};
    }

    test::TemporaryDirectory directory;
    config::GatewayConfig config;
    SeededRandom random{1};
};

TEST_F(StateTest, MakesItsSecretOnceAndKeepsItToItself)
{
    const access::Secret first = open().secret();
    EXPECT_EQ(first.size(), access::least_secret_size);
    EXPECT_EQ(open().secret(), first);
    EXPECT_EQ(directory.mode("secret"), 0600U);
    EXPECT_EQ(directory.get("secret"), as_text(first));

    const test::TemporaryDirectory elsewhere;
    EXPECT_NE((State{elsewhere.path(), config, random}.secret()), first);
}

TEST_F(StateTest, TakesItsOwnSecretToTheLastByte)
{
    const std::string made = std::string(31, 'x') + '\n'; // random bytes may end like a text file
    directory.put("secret", made);
    EXPECT_EQ(as_text(open().secret()), made);
}

TEST_F(StateTest, RefusesASecretThatIsTooShort)
{
    directory.put("secret", std::string(31, 'x'));
    const auto ending = test::ending_of([&] { open(); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr((directory.path() / "secret").string()));
    EXPECT_THAT(ending.sentence, HasSubstr("too short"));
    EXPECT_EQ(directory.get("secret").size(), 31U) << "a new one would make all tokens worthless";
}

TEST_F(StateTest, ReadsTheSecretThatTheConfigurationNames)
{
    const auto file = directory.put("mine", std::string(40, 's') + "\r\n");
    config.secret = {file, "gateway.yaml:3:14: secret_path"};
    EXPECT_EQ(as_text(open().secret()), std::string(40, 's'));
    EXPECT_FALSE(std::filesystem::exists(directory.path() / "secret"));

    directory.put("mine", std::string(31, 's') + "\n");
    const auto too_short = test::ending_of([&] { open(); });
    EXPECT_EQ(too_short.code, ExitCode::configuration);
    EXPECT_THAT(too_short.sentence, HasSubstr("gateway.yaml:3:14: secret_path: "));

    std::filesystem::remove(file);
    const auto missing = test::ending_of([&] { open(); });
    EXPECT_EQ(missing.code, ExitCode::configuration);
    EXPECT_THAT(missing.sentence, HasSubstr("gateway.yaml:3:14: secret_path: "));
    EXPECT_FALSE(std::filesystem::exists(file)) << "only the state directory is ours to write to";
}

TEST_F(StateTest, CannotWorkWithoutItsDirectory)
{
    const auto ending = test::ending_of([&] {
        State{directory.path() / "missing", config, random};
    });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr("missing"));
}

TEST_F(StateTest, MakesItsCertificateOnce)
{
    State state = open();
    const crypto::Identity made = state.certificate({"gateway.example"});
    EXPECT_EQ(state.certificate({"other.example"}).pin, made.pin) << "join strings carry the pin";
    EXPECT_EQ(open().certificate({"gateway.example"}).pin, made.pin);
    EXPECT_EQ(directory.mode("gateway-key.pem"), 0600U);

    directory.put("gateway-cert.pem", "damaged");
    const auto ending = test::ending_of([&] { open().certificate({"gateway.example"}); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_EQ(directory.get("gateway-key.pem"), made.private_key_pem);
}

TEST_F(StateTest, KeepsTheEndpoint)
{
    State state = open();
    EXPECT_EQ(state.endpoint(), std::nullopt);
    State::Endpoint endpoint{"wss://gateway.example:443/", std::nullopt};
    state.store_endpoint(endpoint);
    EXPECT_EQ(open().endpoint(), endpoint);
    endpoint.pin = state.certificate({"gateway.example"}).pin;
    state.store_endpoint(endpoint);
    EXPECT_EQ(open().endpoint(), endpoint);
    EXPECT_EQ(directory.mode("endpoint.json"), 0600U);
}

TEST_F(StateTest, RefusesADamagedEndpoint)
{
    const State state = open();
    for (const char* text :
         {"", "{", "null", "[]", "7", "{}", R"({"gateway": 7})", R"({"pin": "x"})",
          R"({"gateway": "wss://a:1/")", R"({"gateway": "wss://a:1/"} x)"}) {
        directory.put("endpoint.json", text);
        const auto ending = test::ending_of([&] { (void)state.endpoint(); });
        EXPECT_EQ(ending.code, ExitCode::configuration) << text;
        EXPECT_THAT(ending.sentence, HasSubstr("endpoint.json")) << text;
    }
}

TEST_F(StateTest, RefusesADamagedPin)
{
    // Without the pin, join strings would send nodes to the public authorities instead.
    const State state = open();
    for (const char* text :
         {R"({"gateway": "wss://a:1/", "pin": "short"})", R"({"gateway": "wss://a:1/", "pin": ""})",
          R"({"gateway": "wss://a:1/", "pin": 7})"}) {
        directory.put("endpoint.json", text);
        EXPECT_EQ(test::ending_of([&] { (void)state.endpoint(); }).code, ExitCode::configuration)
            << text;
    }
}

TEST_F(StateTest, RemembersWhatItIssuedAndRevoked)
{
    State state = open();
    EXPECT_FALSE(state.has_issued_tokens());
    EXPECT_EQ(state.tokens(), access::IssuedTokens{});
    const access::AgentToken agent = agent_token();
    const std::string text = state.issue(agent);
    EXPECT_EQ(access::verify(text, state.secret(), io::unix_now()).value(), access::Token{agent});
    EXPECT_TRUE(state.has_issued_tokens());
    EXPECT_EQ(directory.mode("tokens.json"), 0600U);
    EXPECT_EQ(directory.get("tokens.json").find(text), std::string::npos)
        << "never the token itself";

    state.issue(agent_token("00000000000000bb"));
    EXPECT_TRUE(state.revoke("00000000000000bb"));
    const access::IssuedTokens later = open().tokens();
    ASSERT_EQ(later.list().size(), 2U);
    EXPECT_FALSE(later.is_revoked("00000000000000aa"));
    EXPECT_TRUE(later.is_revoked("00000000000000bb"));
    EXPECT_EQ(later.list()[0].user, "alice");
    EXPECT_EQ(later.list()[0].name, "home");
    EXPECT_TRUE(open().revoke("00000000000000bb")) << "twice does no harm";
}

TEST_F(StateTest, SaysWhenATokenToRevokeIsUnknown)
{
    State state = open();
    EXPECT_FALSE(state.revoke("00000000000000aa"));
    state.issue(agent_token());
    EXPECT_FALSE(state.revoke("00000000000000ab"));
    EXPECT_FALSE(state.revoke(""));
    EXPECT_FALSE(state.tokens().is_revoked("00000000000000aa"));
}

TEST_F(StateTest, ForgetsExpiredTokensButNotRevocations)
{
    State state = open();
    state.issue(access::AgentToken{claims("00000000000000aa", "old", std::chrono::seconds{-10})});
    state.issue(agent_token("00000000000000bb"));
    EXPECT_EQ(state.tokens().list().size(), 1U);
    EXPECT_TRUE(state.revoke("00000000000000bb"));
    EXPECT_EQ(state.tokens().list().size(), 1U);
}

TEST_F(StateTest, NeverOverwritesADamagedRegistry)
{
    State state = open();
    directory.put("tokens.json", "{\"version\":1,\"tok");
    EXPECT_EQ(test::ending_of([&] { (void)state.tokens(); }).code, ExitCode::configuration);
    EXPECT_EQ(test::ending_of([&] { state.issue(agent_token()); }).code, ExitCode::configuration);
    EXPECT_EQ(test::ending_of([&] { state.revoke("00000000000000aa"); }).code,
              ExitCode::configuration);
    EXPECT_EQ(directory.get("tokens.json"), "{\"version\":1,\"tok");
}

} // namespace
} // namespace narrowlink::gateway

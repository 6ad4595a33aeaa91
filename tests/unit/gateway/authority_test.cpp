#include "authority.hpp"

#include "narrowlink/io/clock.hpp"

#include "../io/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::gateway {
namespace {

using namespace std::chrono_literals;
using access::TokenError;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* agent_id = "00000000000000aa";
constexpr const char* client_id = "00000000000000bb";
constexpr const char* policy_id = "00000000000000cc";

access::Claims claims(std::string id, std::chrono::seconds lifetime = 1h,
                      std::string user = "alice")
{
    return {.id = std::move(id),
            .user = std::move(user),
            .name = "name",
            .expires = io::unix_now() + lifetime};
}

access::PolicyToken policy(std::uint64_t number, std::chrono::seconds lifetime = 1h,
                           std::string user = "alice", std::string id = policy_id)
{
    return {claims(std::move(id), lifetime, std::move(user)),
            {.id = number,
             .type = access::Policy::Type::white_list,
             .rules = {{.agent = {}, .target = "*", .port = {}, .protocol = {}}}}};
}

struct AuthorityTest : testing::Test {
    [[nodiscard]] std::string sign(const access::Token& token) const
    {
        return access::sign(token, secret);
    }

    /// Each write is a second later than the last, for file systems with coarse times.
    void write_registry(const std::string& text)
    {
        const auto file = directory.put("tokens.json", text);
        written += 1s;
        std::filesystem::last_write_time(file, written);
    }

    void write_revoked(const std::vector<const char*>& revoked)
    {
        access::IssuedTokens tokens;
        for (const char* id : {agent_id, client_id, policy_id})
            tokens.add(access::AgentToken{claims(id)}, io::unix_now());
        for (const char* id : revoked)
            tokens.revoke(id);
        write_registry(tokens.format());
    }

    Authority open() { return Authority{secret, directory.path() / "tokens.json"}; }

    test::TemporaryDirectory directory;
    access::Secret secret = access::Secret(32, std::byte{0x5a});
    std::filesystem::file_time_type written = std::filesystem::file_time_type::clock::now();
};

TEST_F(AuthorityTest, AdmitsAgentsAndClients)
{
    const Authority authority = open();
    const auto agent = authority.admit(sign(access::AgentToken{claims(agent_id)}));
    ASSERT_TRUE(agent);
    EXPECT_EQ(agent->role, control::Role::agent);
    EXPECT_EQ(agent->claims.id, agent_id);
    const auto client = authority.admit(sign(access::ClientToken{claims(client_id), {7, 8}}));
    ASSERT_TRUE(client);
    EXPECT_EQ(client->role, control::Role::client);
    EXPECT_THAT(client->policies, ElementsAre(7U, 8U));
}

TEST_F(AuthorityTest, RefusesEveryOtherToken)
{
    const Authority authority = open();
    const access::Secret other(32, std::byte{1});
    const access::AgentToken agent{claims(agent_id)};
    EXPECT_EQ(authority.admit(sign(policy(7))).error(), TokenError::wrong_kind);
    EXPECT_EQ(authority.admit(sign(access::AgentToken{claims(agent_id, -1s)})).error(),
              TokenError::expired);
    EXPECT_EQ(authority.admit(access::sign(agent, other)).error(), TokenError::wrong_signature);
    EXPECT_EQ(authority.admit("").error(), TokenError::malformed);
    EXPECT_EQ(authority.admit("password").error(), TokenError::malformed);
    EXPECT_FALSE(authority.admit(sign(agent) + "x"));
}

TEST_F(AuthorityTest, RefusesWhatWasRevokedBeforeItStarted)
{
    write_revoked({agent_id});
    const Authority authority = open();
    EXPECT_EQ(authority.admit(sign(access::AgentToken{claims(agent_id)})).error(),
              TokenError::revoked);
    EXPECT_TRUE(authority.admit(sign(access::ClientToken{claims(client_id), {}})));
}

TEST_F(AuthorityTest, TellsEachRevocationOnce)
{
    write_revoked({});
    Authority authority = open();
    const std::string agent = sign(access::AgentToken{claims(agent_id)});
    EXPECT_TRUE(authority.admit(agent));
    EXPECT_THAT(authority.reload(), IsEmpty()) << "nothing has changed";

    write_revoked({agent_id});
    EXPECT_THAT(authority.reload(), ElementsAre(agent_id));
    EXPECT_EQ(authority.admit(agent).error(), TokenError::revoked);
    EXPECT_THAT(authority.reload(), IsEmpty());

    write_revoked({agent_id, client_id, policy_id});
    EXPECT_THAT(authority.reload(), UnorderedElementsAre(client_id, policy_id));
}

TEST_F(AuthorityTest, HearsOfTheFirstRegistryThatAppears)
{
    Authority authority = open();
    EXPECT_THAT(authority.reload(), IsEmpty());
    write_revoked({agent_id});
    EXPECT_THAT(authority.reload(), ElementsAre(agent_id));
}

TEST_F(AuthorityTest, ABrokenOrVanishedRegistryBringsNoTokenBack)
{
    write_revoked({agent_id});
    Authority authority = open();
    const std::string agent = sign(access::AgentToken{claims(agent_id)});
    for (const char* text : {"", "{", "[]", R"({"version": 2, "tokens": []})"}) {
        write_registry(std::string{text});
        EXPECT_THAT(authority.reload(), IsEmpty()) << text;
        EXPECT_EQ(authority.admit(agent).error(), TokenError::revoked) << text;
    }
    std::filesystem::remove(directory.path() / "tokens.json");
    EXPECT_THAT(authority.reload(), IsEmpty());
    EXPECT_EQ(authority.admit(agent).error(), TokenError::revoked);

    write_revoked({agent_id, client_id}); // mended
    EXPECT_THAT(authority.reload(), ElementsAre(client_id));
}

TEST_F(AuthorityTest, AClientWithoutPoliciesMayDoEverything)
{
    const auto allowed =
        open().policies({.role = control::Role::client, .claims = claims(client_id)}, {});
    ASSERT_TRUE(allowed);
    EXPECT_THAT(allowed->policies, IsEmpty());
    EXPECT_THAT(allowed->token_ids, IsEmpty());
    EXPECT_EQ(allowed->expires, std::nullopt);
}

TEST_F(AuthorityTest, GivesTheNamedPoliciesUntilTheFirstOfThemExpires)
{
    const Admission client{
        .role = control::Role::client, .claims = claims(client_id), .policies = {7, 8}};
    const access::PolicyToken seven = policy(7, 2h);
    const access::PolicyToken eight = policy(8, 1h, "alice", "00000000000000dd");
    const auto allowed = open().policies(client, {sign(seven), sign(eight)});
    ASSERT_TRUE(allowed);
    EXPECT_THAT(allowed->policies, UnorderedElementsAre(seven.policy, eight.policy));
    EXPECT_THAT(allowed->token_ids, UnorderedElementsAre(policy_id, "00000000000000dd"));
    EXPECT_EQ(allowed->expires, eight.claims.expires);
}

TEST_F(AuthorityTest, RefusesPoliciesThatAreNotAllGood)
{
    write_revoked({policy_id});
    const Authority authority = open();
    const Admission client{
        .role = control::Role::client, .claims = claims(client_id), .policies = {7}};
    const auto refusal_for = [&](const std::vector<std::string>& tokens) {
        const auto allowed = authority.policies(client, tokens);
        return allowed ? ErrorCode{} : allowed.error();
    };
    const std::string other_id = "00000000000000dd";
    EXPECT_EQ(refusal_for({sign(policy(7, 1h, "alice", other_id))}), ErrorCode{});
    EXPECT_EQ(refusal_for({}), TokenError::policy_missing);
    EXPECT_EQ(refusal_for({sign(policy(8, 1h, "alice", other_id))}), TokenError::policy_missing);
    EXPECT_EQ(refusal_for({sign(policy(7, 1h, "bob", other_id))}), TokenError::policy_missing)
        << "another user's policy of the same number";
    EXPECT_EQ(refusal_for({sign(policy(7))}), TokenError::revoked);
    EXPECT_EQ(refusal_for({sign(policy(7, -1s, "alice", other_id))}), TokenError::expired);
    EXPECT_EQ(refusal_for({sign(access::ClientToken{claims(other_id), {7}})}),
              TokenError::wrong_kind);
    EXPECT_EQ(refusal_for({"garbage"}), TokenError::malformed);
    EXPECT_EQ(refusal_for({sign(policy(7, 1h, "alice", other_id)), "garbage"}),
              TokenError::malformed);
}

} // namespace
} // namespace narrowlink::gateway

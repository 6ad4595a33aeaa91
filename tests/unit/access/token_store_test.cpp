#include "narrowlink/access/token_store.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

namespace narrowlink::access {
namespace {

constexpr std::chrono::seconds second{1};

IssuedTokens sample()
{
    IssuedTokens tokens;
    tokens.add(policy_token(), now + second * 2);
    tokens.add(agent_token(), now);
    tokens.add(client_token(), now + second);
    return tokens;
}

Result<IssuedTokens> parse_entry(std::string_view entry)
{
    return IssuedTokens::parse(R"({"version":1,"tokens":[)" + std::string{entry} + "]}");
}

} // namespace

TEST(IssuedTokens, ListsWhatWasIssuedOldestFirst)
{
    const auto tokens = sample().list();
    ASSERT_EQ(tokens.size(), 3U);
    EXPECT_EQ(tokens[0], (IssuedToken{.id = "00112233445566aa",
                                      .kind = TokenKind::agent,
                                      .user = "alice",
                                      .name = "home",
                                      .issued = now,
                                      .expires = tomorrow,
                                      .revoked = false}));
    EXPECT_EQ(tokens[1].kind, TokenKind::client);
    EXPECT_EQ(tokens[2].kind, TokenKind::policy);
}

TEST(IssuedTokens, RevokesOneWithoutTouchingTheOthers)
{
    IssuedTokens tokens = sample();
    EXPECT_TRUE(tokens.revoke("00112233445566aa"));
    EXPECT_TRUE(tokens.is_revoked("00112233445566aa"));
    EXPECT_FALSE(tokens.is_revoked("0000000000000001"));
    EXPECT_TRUE(tokens.revoke("00112233445566aa")) << "again is no error";
}

TEST(IssuedTokens, SaysWhenItKnowsNothingOfAnId)
{
    IssuedTokens tokens = sample();
    EXPECT_FALSE(tokens.revoke("ffffffffffffffff"));
    EXPECT_FALSE(tokens.revoke(""));
    EXPECT_FALSE(tokens.is_revoked("ffffffffffffffff"));
}

TEST(IssuedTokens, KeepsARevocationWhenTheSameIdIsAddedAgain)
{
    IssuedTokens tokens = sample();
    tokens.revoke("00112233445566aa");
    tokens.add(agent_token(), now + second * 9);
    EXPECT_TRUE(tokens.is_revoked("00112233445566aa"));
    EXPECT_EQ(tokens.list().size(), 3U);
}

TEST(IssuedTokens, ForgetsExpiredTokensButNoRevocation)
{
    IssuedTokens tokens = sample();
    tokens.revoke("0000000000000001");
    tokens.remove_expired(tomorrow);
    EXPECT_EQ(tokens.list().size(), 3U);
    tokens.remove_expired(tomorrow + second);
    ASSERT_EQ(tokens.list().size(), 1U);
    EXPECT_TRUE(tokens.is_revoked("0000000000000001"));
}

TEST(IssuedTokens, SurvivesItsTextForm)
{
    IssuedTokens tokens = sample();
    tokens.revoke("0000000000000002");
    EXPECT_EQ(IssuedTokens::parse(tokens.format()).value(), tokens);
    EXPECT_EQ(IssuedTokens::parse(IssuedTokens{}.format()).value(), IssuedTokens{});
}

TEST(IssuedTokens, WritesOneLinePerToken)
{
    IssuedTokens tokens;
    tokens.add(agent_token(), now);
    EXPECT_EQ(tokens.format(),
              "{\"version\":1,\"tokens\":[\n"
              R"({"id":"00112233445566aa","kind":"agent","user":"alice","name":"home",)"
              R"("issued":1800000000,"expires":1800086400,"revoked":false})"
              "\n]}\n");
}

TEST(IssuedTokens, NeverHoldsAToken)
{
    const std::string text = sample().format();
    EXPECT_EQ(text.find(sign(agent_token(), secret)), std::string::npos);
    EXPECT_EQ(text.find("eyJ"), std::string::npos);
}

TEST(IssuedTokens, IsMalformedWhereverItsTextIsCut)
{
    const std::string text = sample().format();
    for (std::size_t size = 0; size + 1 < text.size(); ++size) // the last character is a line end
        EXPECT_EQ(IssuedTokens::parse(text.substr(0, size)).error(), TokenStoreError::malformed)
            << size;
}

TEST(IssuedTokens, RefusesEntriesItCannotTrust)
{
    const std::string good =
        R"({"id":"a","kind":"agent","user":"u","name":"n","issued":1,"expires":2,"revoked":true})";
    ASSERT_TRUE(parse_entry(good));
    EXPECT_TRUE(parse_entry(good).value().is_revoked("a"));
    for (
        const std::string_view bad :
        {"1", "{}", "[]",
         R"({"id":"","kind":"agent","user":"u","name":"n","issued":1,"expires":2,"revoked":true})",
         R"({"id":"a","kind":"x","user":"u","name":"n","issued":1,"expires":2,"revoked":true})",
         R"({"id":"a","kind":"agent","user":1,"name":"n","issued":1,"expires":2,"revoked":true})",
         R"({"id":"a","kind":"agent","user":"u","issued":1,"expires":2,"revoked":true})",
         R"({"id":"a","kind":"agent","user":"u","name":"n","issued":-1,"expires":2,"revoked":true})",
         R"({"id":"a","kind":"agent","user":"u","name":"n","issued":1,"expires":2.5,"revoked":true})",
         R"({"id":"a","kind":"agent","user":"u","name":"n","issued":1,"expires":2,"revoked":1})",
         R"({"id":"a","kind":"agent","user":"u","name":"n","issued":1,"expires":2})"})
        EXPECT_EQ(parse_entry(bad).error(), TokenStoreError::malformed) << bad;
    EXPECT_EQ(parse_entry(good + ',' + good).error(), TokenStoreError::malformed)
        << "which of the two counts?";
}

TEST(IssuedTokens, TellsANewerFileFromADamagedOne)
{
    EXPECT_EQ(IssuedTokens::parse(R"({"version":2,"list":{}})").error(),
              TokenStoreError::unsupported_version);
    EXPECT_EQ(IssuedTokens::parse(R"({"tokens":[]})").error(), TokenStoreError::malformed);
    EXPECT_EQ(IssuedTokens::parse(R"({"version":1})").error(), TokenStoreError::malformed);
    EXPECT_EQ(IssuedTokens::parse(R"({"version":1,"tokens":{}})").error(),
              TokenStoreError::malformed);
}

} // namespace narrowlink::access

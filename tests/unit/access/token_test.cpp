#include "narrowlink/access/token.hpp"
#include "narrowlink/access/token_store.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <set>

namespace narrowlink::access {
namespace {

constexpr std::string_view agent_claims =
    R"({"jti":"00112233445566aa","kind":"agent","uid":"alice","name":"home","exp":1800086400})";

Result<Token> verify_claims(std::string_view json)
{
    return verify(sign_jws(json, secret), secret, now);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to)
{
    std::string result{text};
    const std::size_t at = result.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return result.replace(at, from.size(), to);
}

class CountingRandom final : public Random {
public:
    void fill(MutableBytes block) override
    {
        for (std::byte& b : block)
            b = static_cast<std::byte>(next_++);
    }

private:
    unsigned next_ = 0;
};

} // namespace

TEST(Token, OfEveryKindSurvivesSigning)
{
    for (const Token& token : {Token{agent_token()}, Token{client_token()}, Token{policy_token()},
                               Token{ClientToken{claims(), {}}}}) {
        const auto verified = verify(sign(token, secret), secret, now);
        ASSERT_TRUE(verified) << verified.error().message();
        EXPECT_EQ(*verified, token);
    }
}

TEST(Token, HasTheClaimsOfTheProtocol)
{
    const auto payload = [](const Token& token) {
        return verify_jws(sign(token, secret), secret).value();
    };
    EXPECT_EQ(payload(agent_token()), agent_claims);
    EXPECT_EQ(payload(client_token()),
              R"({"jti":"0000000000000001","kind":"client","uid":"alice","name":"laptop",)"
              R"("exp":1800086400,"policies":[7,9007199254740991]})");
    EXPECT_EQ(payload(policy_token()),
              R"({"jti":"0000000000000002","kind":"policy","uid":"alice","name":"office",)"
              R"("exp":1800086400,"pid":7,"policy":{"type":"BlackList","policies":[)"
              R"({"Ip":["home","10.0.0.0/8",22,"TCP"]},{"Domain":["Any","*.example.com",0,"Any"]})"
              R"(]}})");
}

TEST(Token, IsRefusedWhenAnyByteIsAltered)
{
    const std::string jwt = sign(policy_token(), secret);
    for (std::size_t i = 0; i < jwt.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            std::string altered = jwt;
            altered[i] = static_cast<char>(altered[i] ^ 1 << bit);
            const auto result = verify(altered, secret, now);
            ASSERT_FALSE(result) << "byte " << i << " bit " << bit;
            EXPECT_TRUE(result.error() == TokenError::malformed ||
                        result.error() == TokenError::wrong_signature);
        }
}

TEST(Token, IsRefusedWhenItIsCut)
{
    const std::string jwt = sign(client_token(), secret);
    for (std::size_t size = 0; size < jwt.size(); ++size)
        EXPECT_FALSE(verify(jwt.substr(0, size), secret, now)) << size;
}

TEST(Token, OfAnotherGatewayIsRefused)
{
    const Secret other(32, std::byte{0x5b});
    EXPECT_EQ(verify(sign(agent_token(), other), secret, now).error(), TokenError::wrong_signature);
    EXPECT_EQ(verify(sign(agent_token(), {}), {}, now).error(), TokenError::wrong_signature)
        << "an empty secret is nobody's";
}

TEST(Token, ExpiresInTheSecondOfItsExp)
{
    const std::string jwt = sign(agent_token(), secret);
    EXPECT_TRUE(verify(jwt, secret, tomorrow - std::chrono::seconds{1}));
    EXPECT_EQ(verify(jwt, secret, tomorrow).error(), TokenError::expired);
    EXPECT_EQ(verify(jwt, secret, UnixTime::max()).error(), TokenError::expired);
}

TEST(Token, OfAnotherGatewayDoesNotTellThatItHasExpired)
{
    const Secret other(32, std::byte{0x5b});
    EXPECT_EQ(verify(sign(agent_token(), other), secret, UnixTime::max()).error(),
              TokenError::wrong_signature);
}

TEST(Token, NeedsEveryClaimInItsType)
{
    ASSERT_TRUE(verify_claims(agent_claims));
    const std::pair<std::string_view, std::string_view> changes[] = {
        {R"("jti":"00112233445566aa",)", ""},
        {R"("00112233445566aa")", "1"},
        {"00112233445566aa", "00112233445566AA"},
        {"00112233445566aa", "00112233445566a"},
        {"00112233445566aa", "00112233445566aaa"},
        {R"("kind":"agent",)", ""},
        {R"("agent")", R"("Agent")"},
        {R"("agent")", R"("gateway")"},
        {R"("agent")", "null"},
        {R"("uid":"alice",)", ""},
        {R"("alice")", R"("")"},
        {R"("alice")", "{}"},
        {R"("name":"home",)", ""},
        {R"("home")", R"("Any")"},
        {R"("home")", R"("a b")"},
        {R"("home")", R"("a\u0000")"},
        {R"("home")", R"("a\n")"},
        {R"("home")", R"("\u001b[2J")"},
        {R"(,"exp":1800086400)", ""},
        {"1800086400", "-1"},
        {"1800086400", "1800086400.5"},
        {"1800086400", "1e300"},
        {"1800086400", "18446744073709551615"},
        {"1800086400", "253402300800"},
        {"1800086400", R"("1800086400")"},
        {R"("uid":"alice")", R"("uid":"alice","uid":"alice")"},
        {R"("uid":"alice")", R"("uid":"mallory","\u0075id":"alice")"},
        {"}", "}}"},
        {"}", ""},
        {"alice", "\xff"},
    };
    for (const auto& [from, to] : changes) {
        const auto result = verify_claims(replaced(agent_claims, from, to));
        ASSERT_FALSE(result) << from << " -> " << to;
        EXPECT_EQ(result.error(), TokenError::malformed) << from << " -> " << to;
    }
    EXPECT_EQ(verify_claims("[]").error(), TokenError::malformed);
    EXPECT_EQ(verify_claims("").error(), TokenError::malformed);
}

TEST(Token, MayHaveClaimsThatWeDoNotKnow)
{
    EXPECT_EQ(verify_claims(replaced(agent_claims, "{", R"({"iat":1,"x":{"y":[1,2]},)")).value(),
              Token{agent_token()});
}

TEST(Token, OfAClientNeedsItsListOfPolicies)
{
    const std::string client = replaced(agent_claims, R"("agent")", R"("client")");
    EXPECT_EQ(verify_claims(client).error(), TokenError::malformed)
        << "no list must not mean that everything is allowed";
    const auto with = [&](std::string_view policies) {
        return verify_claims(replaced(client, "}", fmt::format(R"(,"policies":{}}})", policies)));
    };
    EXPECT_TRUE(with("[]"));
    EXPECT_TRUE(with("[0,18446744073709551615]"));
    for (const std::string_view bad : {"null", "{}", "7", "[-1]", "[1.5]", R"(["7"])", "[[7]]"})
        EXPECT_EQ(with(bad).error(), TokenError::malformed) << bad;

    std::string ids = "0";
    for (std::size_t i = 1; i < max_policies; ++i)
        ids += ",0";
    EXPECT_TRUE(with('[' + ids + ']'));
    EXPECT_EQ(with('[' + ids + ",0]").error(), TokenError::malformed);
}

TEST(Token, OfAPolicyHasExactlyOneId)
{
    const std::string policy = replaced(agent_claims, R"("agent")", R"("policy")");
    const auto with = [&](std::string_view members) {
        return verify_claims(replaced(policy, "}", fmt::format(",{}}}", members)));
    };
    EXPECT_TRUE(with(R"("pid":7,"policy":{"type":"WhiteList","policies":[]})"));
    for (const std::string_view bad :
         {R"("pid":7)", R"("policy":{"type":"WhiteList","policies":[]})",
          R"("pid":"7","policy":{"type":"WhiteList","policies":[]})",
          R"("pid":7,"policy":{"id":8,"type":"WhiteList","policies":[]})",
          R"("pid":7,"policy":{"type":"GreyList","policies":[]})",
          R"("pid":7,"policy":{"type":"WhiteList","policies":[],"except":[]})",
          R"("pid":7,"policy":[])"})
        EXPECT_EQ(with(bad).error(), TokenError::malformed) << bad;
}

TEST(Token, IsNotParsedBeyondItsDepth)
{
    const std::string deep = std::string(5'000, '[') + std::string(5'000, ']');
    EXPECT_EQ(verify_claims(deep).error(), TokenError::malformed);
    EXPECT_EQ(verify_claims(replaced(agent_claims, "{", R"({"x":)" + deep + ',')).error(),
              TokenError::malformed);
}

TEST(Token, KnowsItsKindAndClaims)
{
    EXPECT_EQ(kind_of(agent_token()), TokenKind::agent);
    EXPECT_EQ(kind_of(client_token()), TokenKind::client);
    EXPECT_EQ(kind_of(policy_token()), TokenKind::policy);
    EXPECT_EQ(claims_of(Token{client_token()}).name, "laptop");
    EXPECT_EQ(parse_token_kind("policy"), TokenKind::policy);
    EXPECT_FALSE(parse_token_kind("Policy"));
}

TEST(TokenId, IsSixteenHexadecimalDigits)
{
    CountingRandom random;
    EXPECT_EQ(make_token_id(random), "0001020304050607");
    EXPECT_EQ(make_token_id(random), "08090a0b0c0d0e0f");
}

TEST(PolicyId, IsNeverZeroAndFitsIntoADouble)
{
    CountingRandom random;
    for (int i = 0; i < 1'000; ++i) {
        const std::uint64_t id = make_policy_id(random);
        EXPECT_NE(id, 0U);
        EXPECT_LT(id, std::uint64_t{1} << 53);
    }
}

TEST(Name, IsShortAndVisible)
{
    for (const std::string& good :
         {std::string{"a"}, std::string{"home-1"}, std::string{"7"},
          std::string{"alice@example.com"}, std::string{"any"},
          std::string{"f3b0c1d2-0000-4000-8000-000000000000"}, std::string(64, 'x')})
        EXPECT_TRUE(is_valid_name(good)) << good;
    for (const std::string& bad :
         {std::string{}, std::string{"Any"}, std::string{"-d"}, std::string{".."},
          std::string{"a b"}, std::string{"a/b"}, std::string{"a\n"}, std::string{"a\0", 2},
          std::string{"\xc3\xa9"}, std::string{"\"a\""}, std::string(65, 'x')})
        EXPECT_FALSE(is_valid_name(bad)) << bad;
}

TEST(EffectivePolicies, AreThoseThatTheClientsTokenNames)
{
    PolicyToken seven = policy_token();
    PolicyToken eight = policy_token();
    eight.policy.id = 8;
    const ClientToken client{claims(), {7}};
    const auto set = effective_policies(client, std::vector{eight, seven});
    ASSERT_TRUE(set);
    EXPECT_EQ(set->policies(), std::vector{seven.policy});
    EXPECT_TRUE(effective_policies({claims(), {}}, std::vector{eight}).value().policies().empty());
}

TEST(EffectivePolicies, MustAllBePresented)
{
    const ClientToken client{claims(), {7, 8}};
    EXPECT_EQ(effective_policies(client, std::vector{policy_token()}).error(),
              TokenError::policy_missing);
    EXPECT_EQ(effective_policies(client, {}).error(), TokenError::policy_missing);
}

TEST(EffectivePolicies, CannotBeReplacedByThoseOfAnotherUser)
{
    PolicyToken foreign = policy_token();
    foreign.claims.user = "mallory";
    const ClientToken client{claims(), {7}};
    EXPECT_EQ(effective_policies(client, std::vector{foreign}).error(), TokenError::policy_missing);
}

TEST(EffectivePolicies, OfOneIdAllApply)
{
    PolicyToken lax = policy_token();
    lax.policy.rules.clear();
    const ClientToken client{claims(), {7}};
    EXPECT_EQ(
        effective_policies(client, std::vector{lax, policy_token()}).value().policies().size(), 2U);
}

TEST(AccessErrors, HaveASentenceForEveryValue)
{
    const auto expect_sentences = []<class Error>(Error last) {
        std::set<std::string> sentences;
        for (int value = 1; value <= static_cast<int>(last); ++value) {
            const std::string text = make_error_code(static_cast<Error>(value)).message();
            EXPECT_GT(text.size(), 40U) << text;
            EXPECT_TRUE(sentences.insert(text).second) << text;
        }
    };
    expect_sentences(TokenError::policy_missing);
    expect_sentences(PolicyError::too_many_rules);
    expect_sentences(TokenStoreError::unsupported_version);
    EXPECT_THAT(make_error_code(TokenError::expired).message(),
                testing::HasSubstr("narrowlink-gateway token"));
}

} // namespace narrowlink::access

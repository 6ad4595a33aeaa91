#include "narrowlink/access/join_string.hpp"
#include "narrowlink/crypto/digest.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

namespace narrowlink::access {
namespace {

JoinString sample()
{
    crypto::Pin pin;
    pin.bytes.fill(std::byte{0xc3});
    return {.gateway = "wss://gateway.example.com:8443/",
            .pin = pin,
            .tokens = {sign(client_token(), secret), sign(policy_token(), secret)}};
}

// What a faulty program would make: a right checksum over any content.
std::string with_checksum(std::string content)
{
    const auto digest = crypto::sha256(as_bytes(content));
    content += as_text(Bytes{digest}.first(6));
    return "nl1." + to_base64url(as_bytes(content));
}

} // namespace

TEST(JoinString, SurvivesItsTextForm)
{
    JoinString join = sample();
    EXPECT_EQ(parse_join_string(format(join)).value(), join);
    join.pin.reset();
    join.gateway = "ws://192.0.2.1:80/";
    EXPECT_EQ(parse_join_string(format(join)).value(), join);
}

TEST(JoinString, IsOneWord)
{
    const std::string text = format(sample());
    EXPECT_TRUE(text.starts_with("nl1."));
    EXPECT_EQ(text.substr(4).find_first_not_of(
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
}

// The vector of docs/protocol.md.
TEST(JoinString, HasTheFormOfTheProtocol)
{
    const JoinString join{.gateway = "wss://g/", .pin = {}, .tokens = {"t"}};
    EXPECT_EQ(format(join), with_checksum(R"({"g":"wss://g/","t":["t"]})"));
    EXPECT_EQ(format(join), "nl1.eyJnIjoid3NzOi8vZy8iLCJ0IjpbInQiXX3ieIdhnSA");
}

TEST(JoinString, IgnoresWhiteSpaceAroundIt)
{
    EXPECT_TRUE(parse_join_string(" \t\r\n" + format(sample()) + "\r\n "));
}

TEST(JoinString, IsDamagedWhereverItIsCut)
{
    const std::string text = format(sample());
    for (std::size_t size = 1; size < text.size(); ++size)
        EXPECT_EQ(parse_join_string(text.substr(0, size)).error(), JoinStringError::damaged)
            << size;
}

TEST(JoinString, IsDamagedWhicheverCharacterIsAltered)
{
    const std::string text = format(sample());
    for (std::size_t i = 4; i < text.size(); ++i)
        for (const char c : std::string_view{"A_-z0 .=+\n"}) {
            std::string altered = text;
            altered[i] = c;
            if (altered == text)
                continue;
            const auto result = parse_join_string(altered);
            ASSERT_FALSE(result) << "character " << i << " as " << c;
            EXPECT_EQ(result.error(), JoinStringError::damaged);
        }
}

TEST(JoinString, IsDamagedWhenACharacterIsMissingDoubledOrSwapped)
{
    const std::string text = format(sample());
    for (std::size_t i = 4; i + 1 < text.size(); ++i) {
        std::string missing = text;
        missing.erase(i, 1);
        std::string doubled = text;
        doubled.insert(i, 1, text[i]);
        std::string swapped = text;
        std::swap(swapped[i], swapped[i + 1]);
        EXPECT_FALSE(parse_join_string(missing)) << i;
        EXPECT_FALSE(parse_join_string(doubled)) << i;
        EXPECT_TRUE(swapped == text || !parse_join_string(swapped)) << i;
    }
}

TEST(JoinString, TellsOtherTextsFromDamagedOnes)
{
    for (const std::string& text :
         {std::string{}, std::string{"  "}, std::string{"hello"}, std::string{"NL1.abc"},
          std::string{"wss://gateway.example.com"}, sign(agent_token(), secret),
          std::string{"nl.abc"}, std::string{"nl12345.abc"}, std::string{"nl0.abc"}})
        EXPECT_EQ(parse_join_string(text).error(), JoinStringError::not_a_join_string) << text;
}

TEST(JoinString, OfANewerGatewaySaysSo)
{
    EXPECT_EQ(parse_join_string("nl2.abc").error(), JoinStringError::newer_version);
    EXPECT_EQ(parse_join_string("nl10.").error(), JoinStringError::newer_version);
}

TEST(JoinString, MayHaveMembersThatWeDoNotKnow)
{
    EXPECT_TRUE(parse_join_string(with_checksum(R"({"g":"wss://g/","t":["t"],"u":443})")));
}

TEST(JoinString, RefusesWrongContentUnderARightChecksum)
{
    ASSERT_TRUE(parse_join_string(with_checksum(R"({"g":"wss://g/","t":["t"]})")));
    for (const std::string_view content : {"",
                                           "{}",
                                           "[]",
                                           R"({"g":"wss://g/"})",
                                           R"({"t":["t"]})",
                                           R"({"g":"wss://g/","t":[]})",
                                           R"({"g":"wss://g/","t":"t"})",
                                           R"({"g":"wss://g/","t":[""]})",
                                           R"({"g":"wss://g/","t":["a b"]})",
                                           R"({"g":"wss://g/","t":[1]})",
                                           R"({"g":"https://g/","t":["t"]})",
                                           R"({"g":"wss://","t":["t"]})",
                                           R"({"g":"wss://g /","t":["t"]})",
                                           R"({"g":"wss://g\n","t":["t"]})",
                                           R"({"g":1,"t":["t"]})",
                                           R"({"g":"wss://g/","p":"","t":["t"]})",
                                           R"({"g":"wss://g/","p":null,"t":["t"]})",
                                           R"({"g":"wss://g/","p":"w8PD","t":["t"]})",
                                           R"({"g":"wss://g/","g":"wss://h/","t":["t"]})",
                                           R"({"g":"wss://g/","t":["t"]} x)"})
        EXPECT_EQ(parse_join_string(with_checksum(std::string{content})).error(),
                  JoinStringError::damaged)
            << content;
}

TEST(JoinString, HoldsAClientsTokenAndAllItsPolicies)
{
    JoinString join = sample();
    join.tokens.assign(max_policies + 1, "t");
    EXPECT_TRUE(parse_join_string(format(join)));
    join.tokens.emplace_back("t");
    EXPECT_FALSE(parse_join_string(format(join)));
}

TEST(JoinString, IsRefusedAboveItsLongestSize)
{
    EXPECT_EQ(parse_join_string("nl1." + std::string(max_join_string_size, 'A')).error(),
              JoinStringError::damaged);
}

TEST(JoinStringErrors, HaveASentenceForEveryValue)
{
    for (int value = 1; value <= static_cast<int>(JoinStringError::newer_version); ++value)
        EXPECT_GT(make_error_code(static_cast<JoinStringError>(value)).message().size(), 40U);
}

} // namespace narrowlink::access

#include "narrowlink/drive/refusal_sentence.hpp"

#include "narrowlink/access/token.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace narrowlink::drive {
namespace {

using access::TokenError;

io::WebError unauthorized(std::string body)
{
    return {io::WebFailure::unauthorized, "the plain sentence", 401, std::move(body)};
}

TEST(RefusalSentence, TurnsEachReasonOfTheGatewayIntoItsSentence)
{
    constexpr std::array<std::pair<const char*, TokenError>, 4> reasons = {{
        {"signature", TokenError::wrong_signature},
        {"expired", TokenError::expired},
        {"revoked", TokenError::revoked},
        {"scope", TokenError::wrong_kind},
    }};
    for (const auto& [word, meaning] : reasons)
        EXPECT_EQ(
            refusal_sentence(unauthorized(R"({"error": "invalid_token", "error_description": ")" +
                                          std::string{word} + R"("})")),
            "the gateway refused the token: " + make_error_code(meaning).message());
}

TEST(RefusalSentence, FallsBackToThePlainSentence)
{
    for (const char* body :
         {"", "{", "[]", "null", "\"expired\"", "{}", R"({"error": "expired"})",
          R"({"error_description": 7})", R"({"error_description": null})",
          R"({"error_description": ""})", R"({"error_description": "Expired"})", "<html>no</html>"})
        EXPECT_EQ(refusal_sentence(unauthorized(body)), "the plain sentence") << body;
}

TEST(RefusalSentence, RepeatsNothingThatAStrangerWrote)
{
    for (const char* text : {"a\\u001b[2J\\u0007b\\nc\\rd", "expired\\u0000", "expired\\n",
                             "\\u009b31m", "\\u202eexpired"})
        EXPECT_EQ(refusal_sentence(
                      unauthorized(R"({"error_description": ")" + std::string{text} + R"("})")),
                  "the plain sentence")
            << text;
}

TEST(RefusalSentence, ReadsTheBodyOfARefusedTokenOnly)
{
    const io::WebError error{io::WebFailure::not_a_gateway, "the plain sentence", 200,
                             R"({"error_description": "expired"})"};
    EXPECT_EQ(refusal_sentence(error), "the plain sentence");
}

} // namespace
} // namespace narrowlink::drive

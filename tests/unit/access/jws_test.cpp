#include "narrowlink/access/jws.hpp"
#include "narrowlink/access/token.hpp"
#include "narrowlink/crypto/digest.hpp"
#include "samples.hpp"

#include <gtest/gtest.h>

namespace narrowlink::access {
namespace {

// RFC 7515 appendix A.1.
constexpr std::string_view rfc_jws =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    "."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    "."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

Secret rfc_secret()
{
    return from_base64url("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUu"
                          "TwjAzZr1Z9CAow")
        .value();
}

// Signs correctly whatever the header says, as an attacker would like a verifier to believe.
std::string signed_with_header(std::string_view header)
{
    std::string jws = to_base64url(as_bytes(header)) + '.' + to_base64url(as_bytes("{}"));
    const auto signature = crypto::hmac_sha256(secret, as_bytes(jws));
    return jws + '.' + to_base64url(signature);
}

} // namespace

TEST(Jws, VerifiesTheExampleOfRfc7515)
{
    const auto payload = verify_jws(rfc_jws, rfc_secret());
    ASSERT_TRUE(payload);
    EXPECT_EQ(*payload, "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                        "\"http://example.com/is_root\":true}");
}

TEST(Jws, RefusesTheExampleOfRfc7515UnderAnotherKey)
{
    Secret other = rfc_secret();
    other.back() ^= std::byte{1};
    EXPECT_EQ(verify_jws(rfc_jws, other).error(), TokenError::wrong_signature);
    EXPECT_EQ(verify_jws(rfc_jws, {}).error(), TokenError::wrong_signature);
}

TEST(Jws, WritesTheHeaderEveryoneExpects)
{
    EXPECT_TRUE(sign_jws("{}", secret).starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30."));
}

TEST(Jws, KeepsEveryPayload)
{
    for (const std::string& payload : {std::string{}, std::string{"x"}, std::string(10'000, '\0')})
        EXPECT_EQ(verify_jws(sign_jws(payload, secret), secret).value(), payload);
}

TEST(Jws, TakesTheHeaderInAnyOrderWithAnyWhiteSpace)
{
    EXPECT_TRUE(verify_jws(signed_with_header(R"({"typ":"JWT","alg":"HS256"})"), secret));
    EXPECT_TRUE(
        verify_jws(signed_with_header("{ \"alg\": \"HS256\",\n\"typ\": \"JWT\" }"), secret));
}

TEST(Jws, RefusesEveryOtherHeaderEvenIfItIsSigned)
{
    for (const std::string_view header :
         {R"({"alg":"none","typ":"JWT"})", R"({"alg":"None","typ":"JWT"})",
          R"({"alg":"HS512","typ":"JWT"})", R"({"alg":"RS256","typ":"JWT"})",
          R"({"alg":"hs256","typ":"JWT"})", R"({"alg":["HS256"],"typ":"JWT"})",
          R"({"alg":"HS256","typ":"jwt"})", R"({"alg":"HS256"})", R"({"typ":"JWT"})",
          R"({"alg":"HS256","typ":"JWT","crit":["x"]})", R"({"alg":"HS256","typ":"JWT","kid":"1"})",
          R"({"alg":"HS256","alg":"HS256","typ":"JWT"})",
          R"({"alg":"none","alg":"HS256","typ":"JWT"})", R"({"alg":"HS256","typ":"JWT"}x)",
          R"({"alg":"HS256","typ":"JWT")", R"(["alg","HS256"])", "null", "", "{}"})
        EXPECT_EQ(verify_jws(signed_with_header(header), secret).error(), TokenError::malformed)
            << header;
}

TEST(Jws, RefusesAnUnsignedToken)
{
    const std::string none = to_base64url(as_bytes(R"({"alg":"none","typ":"JWT"})")) + ".e30.";
    EXPECT_EQ(verify_jws(none, secret).error(), TokenError::malformed);
    EXPECT_EQ(verify_jws("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.", secret).error(),
              TokenError::malformed);
}

TEST(Jws, RefusesWhatHasNotThreeParts)
{
    const std::string jws = sign_jws("{}", secret);
    for (const std::string& text :
         {std::string{}, std::string{"."}, std::string{".."}, std::string{"a.b"}, "." + jws,
          jws + ".", jws + ".e30", jws + " ", " " + jws, jws + "=", jws + '\0'})
        EXPECT_EQ(verify_jws(text, secret).error(), TokenError::malformed) << text;
}

TEST(Jws, RefusesMoreThanSixteenKibibytes)
{
    std::string payload;
    while (sign_jws(payload, secret).size() <= max_jws_size - 2)
        payload += 'x';
    EXPECT_TRUE(verify_jws(sign_jws(payload, secret), secret));
    payload += "xxx";
    EXPECT_EQ(verify_jws(sign_jws(payload, secret), secret).error(), TokenError::malformed);
}

} // namespace narrowlink::access

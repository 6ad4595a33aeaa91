#include "narrowlink/crypto/digest.hpp"

#include <gtest/gtest.h>

#include <string>

namespace narrowlink::crypto {
namespace {

std::string repeated(std::size_t count, int value)
{
    return std::string(count, static_cast<char>(value));
}

struct HmacVector {
    std::string key;
    std::string message;
    std::string tag; // in hexadecimal; RFC 4231 §4.6 gives the first half only
};

// RFC 4231 §4.2 to §4.8.
const HmacVector hmac_vectors[] = {
    {repeated(20, 0x0b), "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {repeated(20, 0xaa), repeated(50, 0xdd),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"
     "\x18\x19",
     repeated(50, 0xcd), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {repeated(20, 0x0c), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
    {repeated(131, 0xaa), "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {repeated(131, 0xaa),
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

} // namespace

TEST(Digest, AgreesWithTheExamplesOfFips180)
{
    EXPECT_EQ(to_hex(sha256({})),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(to_hex(sha256(as_bytes(repeated(1'000'000, 'a')))),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hmac, AgreesWithTheVectorsOfRfc4231)
{
    for (const HmacVector& vector : hmac_vectors) {
        SCOPED_TRACE(vector.message);
        const std::string tag = to_hex(hmac_sha256(as_bytes(vector.key), as_bytes(vector.message)));
        EXPECT_EQ(tag.substr(0, vector.tag.size()), vector.tag);
    }
}

TEST(Hmac, TakesAnEmptyKeyAndAnEmptyMessage)
{
    EXPECT_EQ(to_hex(hmac_sha256({}, {})),
              "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// RFC 7515 appendix A.1: the signature of the JWT that everyone tests with.
TEST(Hmac, SignsTheExampleOfRfc7515)
{
    const auto key = from_base64url(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    ASSERT_TRUE(key);
    const std::string_view signing_input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                                           "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA"
                                           "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    EXPECT_EQ(to_base64url(hmac_sha256(*key, as_bytes(signing_input))),
              "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

TEST(EqualInConstantTime, ComparesEveryByteAndTheSize)
{
    const Digest digest = sha256(as_bytes("abc"));
    EXPECT_TRUE(equal_in_constant_time(digest, digest));
    EXPECT_TRUE(equal_in_constant_time({}, {}));
    EXPECT_FALSE(equal_in_constant_time(digest, Bytes{digest}.first(31)));
    EXPECT_FALSE(equal_in_constant_time(digest, {}));
    for (std::size_t i = 0; i < digest.size(); ++i) {
        Digest other = digest;
        other[i] ^= std::byte{1};
        EXPECT_FALSE(equal_in_constant_time(digest, other)) << i;
    }
}

} // namespace narrowlink::crypto

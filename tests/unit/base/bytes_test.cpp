#include "narrowlink/base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace narrowlink {
namespace {

using namespace std::string_view_literals;

// RFC 4648 §10, in the alphabet of §5 and without padding.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> base64_vectors = {{
    {"", ""},
    {"f", "Zg"},
    {"fo", "Zm8"},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg"},
    {"fooba", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy"},
}};

TEST(Base64url, EncodesAndDecodesTheVectorsOfTheRfc)
{
    for (const auto& [text, encoded] : base64_vectors) {
        EXPECT_EQ(to_base64url(as_bytes(text)), encoded);
        const auto decoded = from_base64url(encoded);
        ASSERT_TRUE(decoded) << encoded;
        EXPECT_EQ(as_text(*decoded), text);
    }
}

TEST(Base64url, UsesTheAlphabetThatNeedsNoEscaping)
{
    const std::array bytes = {std::byte{0xfb}, std::byte{0xff}, std::byte{0xfe}};
    EXPECT_EQ(to_base64url(bytes), "-__-");
    EXPECT_EQ(from_base64url("-__-")->at(1), std::byte{0xff});
    EXPECT_FALSE(from_base64url("+//+"));
}

TEST(Base64url, RefusesWhatIsNotExactlyOneSpelling)
{
    for (const std::string_view text : std::initializer_list<std::string_view>{
             "Z", "Zm9vY", "Zg==", "Zg=", "Zh", "Zm9", "Zm8=", "Zm9v\n", " Zm9v", "Zm 9", "Zm9*",
             "Zm9\x80", "Zm\0v"sv})
        EXPECT_FALSE(from_base64url(text)) << text;
    EXPECT_EQ(from_base64url("Z").error(), boost::system::errc::bad_message);
}

TEST(Base64url, BringsEveryByteBack)
{
    std::vector<std::byte> bytes;
    for (int i = 0; i < 256; ++i) {
        bytes.push_back(static_cast<std::byte>(i));
        const auto decoded = from_base64url(to_base64url(bytes));
        ASSERT_TRUE(decoded);
        ASSERT_EQ(*decoded, bytes);
    }
}

TEST(Hex, EncodesTheVectorsOfTheRfcInLowerCase) // RFC 4648 §10
{
    EXPECT_EQ(to_hex({}), "");
    EXPECT_EQ(to_hex(as_bytes("f")), "66");
    EXPECT_EQ(to_hex(as_bytes("foobar")), "666f6f626172");
    const std::array bytes = {std::byte{0}, std::byte{0x0f}, std::byte{0xf0}, std::byte{0xab}};
    EXPECT_EQ(to_hex(bytes), "000ff0ab");
}

TEST(Reader, ReadsBigEndianFieldsAndKnowsItsEnd)
{
    const std::array bytes = {std::byte{1},  std::byte{0x02}, std::byte{0x03}, std::byte{0x80},
                              std::byte{5},  std::byte{6},    std::byte{7},    std::byte{0xff},
                              std::byte{9},  std::byte{10},   std::byte{11},   std::byte{12},
                              std::byte{13}, std::byte{14},   std::byte{0xfe}, std::byte{'x'}};
    Reader in{bytes};
    EXPECT_EQ(in.u8(), 1U);
    EXPECT_EQ(in.u16(), 0x0203U);
    EXPECT_EQ(in.u32(), 0x80050607U);
    EXPECT_EQ(in.u64(), 0xff090a0b0c0d0efeU);
    EXPECT_FALSE(in.done());
    EXPECT_EQ(as_text(in.take(1)), "x");
    EXPECT_TRUE(in.ok() && in.done());
}

TEST(Reader, GivesZeroAfterTheFirstShortRead)
{
    const std::array bytes = {std::byte{1}, std::byte{2}, std::byte{3}};
    Reader in{bytes};
    EXPECT_EQ(in.u32(), 0U);
    EXPECT_FALSE(in.ok());
    EXPECT_EQ(in.u8(), 0U) << "although one byte would be there";
    EXPECT_TRUE(in.rest().empty());
    EXPECT_FALSE(in.done());
}

TEST(Writer, WritesWhatTheReaderReads)
{
    std::array<std::byte, 32> block{};
    Writer out{block};
    out.u8(0xfe);
    out.u16(0x1234);
    out.u32(0x89abcdef);
    out.u64(0x0123456789abcdef);
    out.bytes(as_bytes("end"));
    out.bytes({});
    EXPECT_EQ(out.size(), 18U);
    EXPECT_EQ(to_hex(out.written()), "fe123489abcdef0123456789abcdef656e64");
}

} // namespace
} // namespace narrowlink

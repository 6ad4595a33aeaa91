#include "narrowlink/wire/varint.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace narrowlink::wire {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values)
{
    std::vector<std::byte> bytes;
    for (const int value : values)
        bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

TEST(Varint, DecodesTheSamplesOfTheRfc) // RFC 9000 A.1
{
    EXPECT_EQ(decode_varint(bytes_of({0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c})),
              (Varint{151'288'809'941'952'652, 8}));
    EXPECT_EQ(decode_varint(bytes_of({0x9d, 0x7f, 0x3e, 0x7d})), (Varint{494'878'333, 4}));
    EXPECT_EQ(decode_varint(bytes_of({0x7b, 0xbd})), (Varint{15'293, 2}));
    EXPECT_EQ(decode_varint(bytes_of({0x25})), (Varint{37, 1}));
    EXPECT_EQ(decode_varint(bytes_of({0x40, 0x25})), (Varint{37, 2})) << "longer than needed";
}

TEST(Varint, EncodesEachValueInItsShortestForm)
{
    struct Case {
        std::uint64_t value;
        std::string_view hex;
    };

    constexpr std::array cases = {
        Case{0, "00"},
        Case{63, "3f"},
        Case{64, "4040"},
        Case{16'383, "7fff"},
        Case{16'384, "80004000"},
        Case{1'073'741'823, "bfffffff"},
        Case{1'073'741'824, "c000000040000000"},
        Case{max_varint, "ffffffffffffffff"},
    };
    for (const Case& c : cases) {
        std::array<std::byte, max_varint_size> block{};
        Writer out{block};
        write_varint(out, c.value);
        EXPECT_EQ(to_hex(out.written()), c.hex);
        EXPECT_EQ(varint_size(c.value), out.size());
        EXPECT_EQ(decode_varint(out.written()), (Varint{c.value, out.size()}));
    }
}

TEST(Varint, NeedsAllOfItsBytes)
{
    const auto whole = bytes_of({0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c});
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_FALSE(decode_varint(Bytes{whole}.first(size)));
}

TEST(Varint, MakesAReaderFailWhenItIsCut)
{
    const auto cut = bytes_of({0x9d, 0x7f, 0x3e});
    Reader in{cut};
    EXPECT_EQ(read_varint(in), 0U);
    EXPECT_FALSE(in.ok());
}

TEST(Varint, LeavesTheReaderBehindItself)
{
    const auto two = bytes_of({0x7b, 0xbd, 0x25});
    Reader in{two};
    EXPECT_EQ(read_varint(in), 15'293U);
    EXPECT_EQ(read_varint(in), 37U);
    EXPECT_TRUE(in.done());
}

} // namespace
} // namespace narrowlink::wire

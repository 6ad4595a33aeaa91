#include "narrowlink/wire/relay_frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace narrowlink::wire {
namespace {

std::vector<std::byte> message_of(std::size_t payload, std::uint16_t segment_size,
                                  std::uint8_t type = 1, std::uint8_t reserved = 0)
{
    std::vector<std::byte> message(RelayHeader::size + payload, std::byte{0xab});
    Writer out{message};
    out.u8(type);
    out.u8(reserved);
    out.u16(segment_size);
    out.u32(0x01020304);
    return message;
}

TEST(RelayFrame, PutsItsHeaderInFrontOfThePackets)
{
    Buffer buffer{RelayHeader::size, 16};
    std::ranges::fill(buffer.tailroom().first(3), std::byte{0xcc});
    buffer.commit(3);
    prepend(buffer, {.segment_size = 1200, .handle = PairHandle{0xdeadbeef}});
    EXPECT_EQ(to_hex(buffer.bytes()), "010004b0deadbeefcccccc");
}

TEST(RelayFrame, DecodesWhatItEncodes)
{
    Buffer buffer{RelayHeader::size, 64};
    buffer.commit(64);
    const RelayHeader header{.segment_size = 30, .handle = PairHandle{7}};
    prepend(buffer, header);
    const auto frame = decode_relay_frame(std::as_const(buffer).bytes());
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->header, header);
    EXPECT_EQ(frame->payload.size(), 64U);
    EXPECT_EQ(frame->segments(), 3U);
}

TEST(RelayFrame, RefusesEveryTruncation)
{
    const auto message = message_of(1, 1);
    for (std::size_t size = 0; size < message.size(); ++size)
        EXPECT_FALSE(decode_relay_frame(Bytes{message}.first(size))) << size;
    EXPECT_TRUE(decode_relay_frame(message));
}

TEST(RelayFrame, RefusesAnotherTypeAndReservedBits)
{
    EXPECT_FALSE(decode_relay_frame(message_of(10, 10, 2)));
    EXPECT_FALSE(decode_relay_frame(message_of(10, 10, 1, 1)));
    EXPECT_FALSE(decode_relay_frame(message_of(10, 0)));
}

TEST(RelayFrame, TakesExactlySixtyFourSegments)
{
    EXPECT_TRUE(decode_relay_frame(message_of(64 * 100, 100)));
    EXPECT_FALSE(decode_relay_frame(message_of(64 * 100 + 1, 100)));
}

TEST(RelayFrame, TakesExactlyTheLargestPayload)
{
    EXPECT_TRUE(decode_relay_frame(message_of(max_relay_payload, 16'382)));
    EXPECT_FALSE(decode_relay_frame(message_of(max_relay_payload + 1, 16'382)));
}

TEST(RelayFrame, LetsTheOnlySegmentBeShort)
{
    const auto message = message_of(10, 65'535);
    const auto frame = decode_relay_frame(message);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->segments(), 1U);
}

TEST(RelayFrame, ChangesNothingButTheHandle)
{
    auto message = message_of(5, 5);
    auto expected = message;
    rewrite_handle(message, PairHandle{0xa0b0c0d0});
    Writer{MutableBytes{expected}.subspan(4, 4)}.u32(0xa0b0c0d0);
    EXPECT_EQ(message, expected);
}

TEST(PairId, HasOneTextForm)
{
    constexpr std::string_view text = "000102030405060708090a0b0c0d0eff";
    const auto id = PairId::parse(text);
    ASSERT_TRUE(id);
    EXPECT_EQ(to_string(*id), text);
    EXPECT_FALSE(PairId::parse("000102030405060708090A0B0C0D0EFF"));
    EXPECT_FALSE(PairId::parse(text.substr(1)));
    EXPECT_FALSE(PairId::parse("000102030405060708090a0b0c0d0eff0"));
    EXPECT_FALSE(PairId::parse("g00102030405060708090a0b0c0d0eff"));
    EXPECT_FALSE(PairId::parse(""));
}

TEST(PairId, IsComparedAndHashedByAllOfItsBytes)
{
    PairId a, b;
    b.bytes[15] = std::byte{1};
    EXPECT_NE(a, b);
    EXPECT_NE(std::hash<PairId>{}(a), std::hash<PairId>{}(b));
}

} // namespace
} // namespace narrowlink::wire

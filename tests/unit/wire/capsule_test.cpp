#include "narrowlink/wire/capsule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace narrowlink::wire {
namespace {

std::string capsule(std::uint64_t type, std::string_view value)
{
    std::array<std::byte, 16> head{};
    Writer out{head};
    write_capsule_header(out, type, value.size());
    return std::string{as_text(out.written())} + std::string{value};
}

/// Feeds `stream` in pieces of `piece` bytes; every value that comes out, in order.
std::vector<std::string> read_all(CapsuleReader& reader, std::string_view stream, std::size_t piece)
{
    std::vector<std::string> values;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        Bytes input = as_bytes(stream.substr(at, piece));
        for (;;) {
            const auto value = reader.read(input);
            if (!value)
                return {"error"};
            if (!*value)
                break;
            values.emplace_back(as_text(**value));
        }
        EXPECT_TRUE(input.empty());
    }
    return values;
}

TEST(Capsule, YieldsTheSameDatagramsHoweverTheStreamIsCut)
{
    const std::string stream = capsule(0, "first") + capsule(0x29, std::string(300, 'x')) +
                               capsule(0, "") + capsule(0, std::string(20'000, 'y')) +
                               capsule(max_varint, "") + capsule(0, "last");
    const std::vector<std::string> expected = {"first", "", std::string(20'000, 'y'), "last"};
    for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U, 1'000U, 100'000U}) {
        SCOPED_TRACE(piece);
        CapsuleReader reader;
        EXPECT_EQ(read_all(reader, stream, piece), expected);
        EXPECT_TRUE(reader.at_boundary());
    }
}

TEST(Capsule, LendsTheInputsOwnBytesWhenTheyHoldTheWholeValue)
{
    const std::string stream = capsule(0, "payload");
    CapsuleReader reader;
    Bytes input = as_bytes(stream);
    const auto value = reader.read(input);
    ASSERT_TRUE(value && *value);
    EXPECT_EQ(static_cast<const void*>((*value)->data()), stream.data() + 2);
}

TEST(Capsule, IsAtNoBoundaryWithinACapsule)
{
    const std::string stream = capsule(0, "ab");
    for (std::size_t size = 1; size < stream.size(); ++size) {
        CapsuleReader reader;
        Bytes input = as_bytes(stream).first(size);
        ASSERT_TRUE(reader.read(input));
        EXPECT_FALSE(reader.at_boundary()) << size;
    }
}

TEST(Capsule, SkipsAnUnknownCapsuleOfAnyLengthWithoutKeepingIt)
{
    std::array<std::byte, 16> head{};
    Writer out{head};
    write_capsule_header(out, 0x1234, max_varint);
    CapsuleReader reader;
    Bytes input = out.written();
    ASSERT_TRUE(reader.read(input));
    const std::vector<std::byte> block(100'000);
    for (int i = 0; i < 100; ++i) {
        input = block;
        const auto value = reader.read(input);
        ASSERT_TRUE(value);
        EXPECT_FALSE(*value);
        EXPECT_TRUE(input.empty());
    }
}

TEST(Capsule, FailsForGoodOnADatagramOverTheLimit)
{
    std::array<std::byte, 16> head{};
    Writer out{head};
    write_capsule_header(out, 0, max_datagram_capsule + 1);
    CapsuleReader reader;
    Bytes input = out.written();
    EXPECT_FALSE(reader.read(input));
    const std::string good = capsule(0, "good");
    input = as_bytes(good);
    EXPECT_FALSE(reader.read(input));
    EXPECT_FALSE(reader.at_boundary());
}

TEST(Capsule, TakesADatagramOfExactlyTheLimit)
{
    CapsuleReader reader;
    const std::string value(max_datagram_capsule, 'z');
    EXPECT_EQ(read_all(reader, capsule(0, value), 4'096), std::vector{value});
}

TEST(UdpPayload, StandsBehindContextZero)
{
    std::array<std::byte, 16> block{};
    Writer out{block};
    write_udp_payload(out, as_bytes("dns"));
    EXPECT_EQ(to_hex(out.written()), "00646e73");
    const auto payload = decode_udp_payload(out.written());
    ASSERT_TRUE(payload && *payload);
    EXPECT_EQ(as_text(**payload), "dns");
}

TEST(UdpPayload, MayBeEmpty)
{
    const auto payload = decode_udp_payload(as_bytes(std::string_view{"\0", 1}));
    ASSERT_TRUE(payload && *payload);
    EXPECT_TRUE((*payload)->empty());
}

TEST(UdpPayload, OfAnUnknownContextIsDropped)
{
    const auto payload = decode_udp_payload(as_bytes("\x02xyz"));
    ASSERT_TRUE(payload);
    EXPECT_FALSE(*payload);
}

TEST(UdpPayload, IsRefusedWhenTheContextIsCutOrThePayloadTooLong)
{
    EXPECT_FALSE(decode_udp_payload({}));
    EXPECT_FALSE(decode_udp_payload(as_bytes("\x40")));
    std::vector<std::byte> datagram(1 + max_udp_payload);
    EXPECT_TRUE(decode_udp_payload(datagram));
    datagram.emplace_back();
    EXPECT_FALSE(decode_udp_payload(datagram));
}

TEST(UdpCapsule, CarriesTheLargestPayloadWithinItsStatedOverhead)
{
    const std::vector<std::byte> payload(max_udp_payload, std::byte{0x5a});
    std::vector<std::byte> block(payload.size() + max_udp_capsule_overhead);
    Writer out{block};
    write_udp_capsule(out, payload);
    EXPECT_EQ(out.size(), block.size());

    CapsuleReader reader;
    Bytes input = out.written();
    const auto value = reader.read(input);
    ASSERT_TRUE(value && *value);
    const auto decoded = decode_udp_payload(**value);
    ASSERT_TRUE(decoded && *decoded);
    EXPECT_TRUE(std::ranges::equal(**decoded, payload));
}

} // namespace
} // namespace narrowlink::wire

#include "narrowlink/wire/pcp.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace narrowlink::wire {
namespace {

std::vector<std::byte> bytes_of(std::string_view hex)
{
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    return bytes;
}

constexpr PcpNonce nonce{std::byte{1}, std::byte{2},  std::byte{3},  std::byte{4},
                         std::byte{5}, std::byte{6},  std::byte{7},  std::byte{8},
                         std::byte{9}, std::byte{10}, std::byte{11}, std::byte{12}};

// RFC 6887 §7.2 and §11.1, written out by hand.
const std::vector<std::byte> granted = bytes_of("0281000000000258" // version, MAP, success, 600 s
                                                "0000002a"         // epoch
                                                "000000000000000000000000"
                                                "0102030405060708090a0b0c" // nonce
                                                "11000000"                 // UDP
                                                "c3509c40"                 // 50000, 40000
                                                "00000000000000000000ffffcb007101");

} // namespace

TEST(Pcp, AsksForAMapping)
{
    const auto question = encode({.client = *IpAddress::parse("192.168.1.2"),
                                  .nonce = nonce,
                                  .internal = 50'000,
                                  .external = 40'000,
                                  .lifetime = std::chrono::seconds{600}});
    EXPECT_EQ(std::vector<std::byte>(question.begin(), question.end()),
              bytes_of("0201000000000258"
                       "00000000000000000000ffffc0a80102"
                       "0102030405060708090a0b0c"
                       "11000000"
                       "c3509c40"
                       "00000000000000000000ffff00000000"));
}

TEST(Pcp, ReadsAMapping)
{
    const auto response = decode_pcp_map_response(granted);
    ASSERT_TRUE(response);
    EXPECT_EQ(*response, (PcpMapResponse{.result = PcpMapResponse::success,
                                         .nonce = nonce,
                                         .internal = 50'000,
                                         .external = {*IpAddress::parse("203.0.113.1"), 40'000},
                                         .lifetime = std::chrono::seconds{600}}));
    auto longer = granted;
    longer.insert(longer.end(), 8, std::byte{}); // an option
    EXPECT_EQ(decode_pcp_map_response(longer), response);
}

TEST(Pcp, ReadsARefusal)
{
    auto refused = granted;
    refused[3] = std::byte{2}; // NOT_AUTHORIZED
    const auto response = decode_pcp_map_response(refused);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->result, 2);
}

TEST(Pcp, TakesNothingElse)
{
    for (std::size_t size = 0; size < granted.size(); ++size)
        EXPECT_FALSE(decode_pcp_map_response(Bytes{granted}.first(size))) << size;
    for (const std::size_t place : {0, 1, 36}) { // version, opcode, protocol
        auto other = granted;
        other[place] ^= std::byte{1};
        EXPECT_FALSE(decode_pcp_map_response(other)) << place;
    }
    EXPECT_FALSE(decode_pcp_map_response(bytes_of("0080000100000001"))) << "NAT-PMP";
}

} // namespace narrowlink::wire

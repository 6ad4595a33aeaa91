#include "narrowlink/wire/nat_pmp.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace narrowlink::wire {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values)
{
    std::vector<std::byte> result;
    for (const int value : values)
        result.push_back(static_cast<std::byte>(value));
    return result;
}

TEST(NatPmp, ReadsTheExternalAddressAndNothingElse)
{
    EXPECT_EQ(decode_nat_pmp_answer(bytes({0, 128, 0, 0, 0, 0, 1, 2, 100, 64, 0, 3})),
              IpAddress::parse("100.64.0.3"));
    EXPECT_FALSE(decode_nat_pmp_answer(bytes({0, 128, 0, 3, 0, 0, 1, 2, 100, 64, 0, 3})))
        << "refused";
    EXPECT_FALSE(decode_nat_pmp_answer(bytes({0, 129, 0, 0, 0, 0, 1, 2, 100, 64, 0, 3})));
    EXPECT_FALSE(decode_nat_pmp_answer(bytes({0, 128, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0})));
    EXPECT_FALSE(decode_nat_pmp_answer(bytes({0, 128, 0, 0, 0, 0, 1, 2, 100, 64, 0})));
    EXPECT_FALSE(decode_nat_pmp_answer({}));
}

} // namespace
} // namespace narrowlink::wire

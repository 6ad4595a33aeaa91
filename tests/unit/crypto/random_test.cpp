#include "narrowlink/crypto/random.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace narrowlink::crypto {

TEST(SystemRandom, NeverRepeatsItself)
{
    SystemRandom random;
    std::set<std::array<std::byte, 16>> seen;
    for (int i = 0; i < 1'000; ++i)
        EXPECT_TRUE(seen.insert(random.array<16>()).second);
}

TEST(SystemRandom, FillsBlocksOfEverySizeToTheLastByte)
{
    SystemRandom random;
    random.fill({});
    for (const std::size_t size : {std::size_t{1}, std::size_t{33}, (std::size_t{1} << 20) + 1}) {
        // A byte that stays zero in 16 fills out of 16 was not written.
        bool last_was_written = false;
        for (int i = 0; i < 16; ++i) {
            std::vector<std::byte> block(size);
            random.fill(block);
            last_was_written = last_was_written || block.back() != std::byte{0};
        }
        EXPECT_TRUE(last_was_written) << size;
    }
}

} // namespace narrowlink::crypto

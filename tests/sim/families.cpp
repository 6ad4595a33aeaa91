#include "families.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace narrowlink::sim {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise)
{
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

} // namespace

void run_family(const Character& character, std::uint64_t percent, std::uint64_t seeds)
{
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::uint64_t first = number_from("SIM_SEED", 1);
    const std::uint64_t count =
        std::max<std::uint64_t>(1, number_from("SIM_SEEDS", seeds) * percent / 100);
    const std::uint64_t most_failures = number_from("SIM_FAILURES", 1);
    History::Measured total;
    std::uint64_t failures = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        History history{seed, character};
        const auto failure = history.run();
        EXPECT_FALSE(failure.has_value())
            << *failure << "\nSIM_SEED=" << seed
            << " SIM_SEEDS=1 sim_tests --gtest_filter=" << test->test_suite_name() << '.'
            << test->name() << '\n'
            << history.trace();
        if (failure && ++failures == most_failures)
            return;
        const History::Measured& measured = history.measured();
        if (std::getenv("SIM_TALK") != nullptr && measured.longest_stall > total.longest_stall)
            std::cout << fmt::format("seed {}: a stall of {} ms\n", seed,
                                     measured.longest_stall / milliseconds{1});
        total.longest_stall = std::max(total.longest_stall, measured.longest_stall);
        total.lasted += measured.lasted;
        total.bytes += measured.bytes;
        total.dropped += measured.dropped;
        total.upgrades += measured.upgrades;
        total.downgrades += measured.downgrades;
        total.onto_udp_relay += measured.onto_udp_relay;
    }
    if (std::getenv("SIM_TALK") != nullptr)
        std::cout << fmt::format(
            "{} histories, {} s, {} MB, {} dropped by queues, {} times to a direct path and {} "
            "away, {} times to a relay over UDP, longest stall {} ms\n",
            count, total.lasted / seconds{1}, total.bytes / 1'000'000, total.dropped,
            total.upgrades, total.downgrades, total.onto_udp_relay, total.longest_stall / milliseconds{1});
    if (!character.routers.empty() && count >= 20) {
        EXPECT_GT(total.upgrades, count / 4) << "else nothing was tried";
        if (character.udp_relay > 0) {
            EXPECT_GT(total.onto_udp_relay, 0U);
        }
    }
}

} // namespace narrowlink::sim

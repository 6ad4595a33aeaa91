#pragma once

#include "history.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace narrowlink::sim {

/// Runs the histories of one kind of trouble within a test: `percent` of all seeds. A failure
/// prints the variables that run it again.
///
///   SIM_SEEDS     histories over all families of the program's part
///   SIM_SEED      the first seed (1): with SIM_SEEDS=1 and --gtest_filter the one history of a
///   failure SIM_FAILURES  a family stops after so many (1) SIM_TALK      print what was measured
void run_family(const Character& character, std::uint64_t percent,
                std::uint64_t seeds = SIM_SEEDS_DEFAULT);

} // namespace narrowlink::sim

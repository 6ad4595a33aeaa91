// Theory of operation
//
// One byte there, one byte back, then the next: a closed loop, as a person at a shell is. The time
// of every round is kept whole, so a stall shows as one long round; no rate is claimed, so no round
// is missing that a stall displaced.

#include "dialogue.hpp"
#include "load.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

namespace narrowlink::bench {

namespace {

double quantile(const std::vector<double>& sorted, double fraction)
{
    const auto rank =
        static_cast<std::size_t>(std::lround(fraction * static_cast<double>(sorted.size() - 1)));
    return sorted[rank];
}

} // namespace

void measure_round_trip(const Load& load)
{
    const Descriptor stream = open_stream(load);
    send_all(stream, make_request(Operation::echo, {}));

    std::vector<double> rounds;
    rounds.reserve(load.rounds);
    for (std::size_t i = 0; i < load.warm_up_rounds + load.rounds; ++i) {
        const auto sent = static_cast<std::byte>(i);
        std::byte returned{};
        const auto start = Clock::now();
        send_all(stream, std::span{&sent, 1});
        receive_all(stream, std::span{&returned, 1});
        const std::chrono::duration<double, std::micro> elapsed = Clock::now() - start;
        if (returned != sent)
            fail("another byte came back than the one that was sent");
        if (i >= load.warm_up_rounds)
            rounds.push_back(elapsed.count());
    }

    const double mean =
        std::accumulate(rounds.begin(), rounds.end(), 0.0) / static_cast<double>(rounds.size());
    std::ranges::sort(rounds);
    std::cout << "{\"rounds\": " << rounds.size() << ", \"median\": " << quantile(rounds, 0.5)
              << ", \"p90\": " << quantile(rounds, 0.9) << ", \"p99\": " << quantile(rounds, 0.99)
              << ", \"max\": " << rounds.back() << ", \"mean\": " << mean << "}\n";
}

} // namespace narrowlink::bench

#include "narrowlink/control/backoff.hpp"

#include <algorithm>
#include <cmath>

namespace narrowlink::control {
namespace {

double draw_minus_one_to_one(Random& random)
{
    constexpr double two_to_63 = 9223372036854775808.0;
    return static_cast<double>(random.u64()) / two_to_63 - 1;
}

Duration scale(Duration duration, double factor)
{
    return Duration{std::llround(static_cast<double>(duration.count()) * factor)};
}

} // namespace

Backoff::Backoff(Config config) : config_{config}, wait_{config.first} {}

Duration Backoff::next(Random& random)
{
    const Duration wait = std::min(wait_, config_.most);
    wait_ = std::min(scale(wait, config_.factor), config_.most);
    return scale(wait, 1 + config_.jitter * draw_minus_one_to_one(random));
}

void Backoff::reset()
{
    wait_ = config_.first;
}

void Backoff::set_most(Duration most)
{
    config_.most = most;
}

} // namespace narrowlink::control

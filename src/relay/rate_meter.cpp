#include "narrowlink/relay/rate_meter.hpp"

#include <algorithm>
#include <cmath>

namespace narrowlink::relay {
namespace {

using Seconds = std::chrono::duration<double>;

// A sample shorter than this is mostly the granularity of the clock and of the event loop, unless
// it is large.
constexpr Duration shortest_sample = std::chrono::milliseconds{1};
constexpr std::size_t large_sample = 1024 * 1024;

} // namespace

void RateMeter::add(std::size_t bytes, Duration busy)
{
    pending_bytes_ += bytes;
    pending_time_ += busy;
    if (pending_time_ < shortest_sample && pending_bytes_ < large_sample)
        return;

    const double seconds = std::max(Seconds{pending_time_}, Seconds{shortest_sample}).count();
    const double sample =
        std::min(static_cast<double>(pending_bytes_) / seconds, config_.most_bytes_per_second);
    const double weight = 1 - std::exp(-seconds / Seconds{config_.memory}.count());
    rate_ = rate_ ? *rate_ + weight * (sample - *rate_) : sample;
    pending_bytes_ = 0;
    pending_time_ = {};
}

} // namespace narrowlink::relay

#pragma once

#include <chrono>

namespace narrowlink {

using Duration = std::chrono::nanoseconds;

/// A point in monotonic time. Cores never read a clock: every Instant comes in as an argument.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// A point in wall-clock time, with the resolution of a token's `exp` claim (RFC 7519 §4.1.4).
using UnixTime = std::chrono::sys_seconds;

/// The deadline of something that has none.
inline constexpr Instant never = Instant::max();

} // namespace narrowlink

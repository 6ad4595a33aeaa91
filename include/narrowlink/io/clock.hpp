#pragma once

#include "narrowlink/base/time.hpp"

namespace narrowlink::io {

/// Monotonic time; the only place of the programs where it is read.
Instant now();

/// Wall-clock time, for the expiry of tokens and certificates only.
UnixTime unix_now();

} // namespace narrowlink::io

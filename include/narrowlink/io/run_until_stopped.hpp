#pragma once

#include "narrowlink/io/asio.hpp"

namespace narrowlink::io {

/// Runs `task` on this thread until it ends, or until SIGTERM, SIGINT or SIGHUP asks the process to
/// stop; then it is cancelled. Returns whether it ended by itself. Throws what `task` throws.
bool run_until_stopped(net::awaitable<void> task);

} // namespace narrowlink::io

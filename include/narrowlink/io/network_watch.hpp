#pragma once

#include "narrowlink/io/asio.hpp"

#include <functional>

namespace narrowlink::io {

/// Tells when packets of this host may go other ways than before: interface_addresses() or
/// default_router() have changed, or the host was asleep.
///
/// What the kernel reports by rtnetlink(7) is looked at when it has been quiet for a moment: a
/// laptop that changes from one network to another reports a dozen things. Sleep shows in the
/// real-time clock, which is set when the host wakes up (TFD_TIMER_CANCEL_ON_SET of
/// timerfd_create(2)); so does a person who sets it, which does no harm.
///
/// Runs until cancelled. Where the system refuses such sockets it returns at once: then changes are
/// noticed by what they break. `on_change` is called on the coroutine's executor.
net::awaitable<void> watch_network(std::function<void()> on_change);

} // namespace narrowlink::io

#pragma once

#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

namespace narrowlink::drive {

/// Tells every coroutine that waits that something has changed; each looks for itself what.
/// Single-threaded.
class Notice {
public:
    explicit Notice(net::any_io_executor executor) : timer_{std::move(executor), never} {}

    /// Until the next tell(). Throws errc::timed_out at `deadline`, operation_aborted when cancelled.
    net::awaitable<void> wait_until(Instant deadline);

    void tell();

private:
    net::awaitable<void> wait();

    net::steady_timer timer_;
    unsigned generation_ = 0;
};

} // namespace narrowlink::drive

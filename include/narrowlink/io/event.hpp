#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

namespace narrowlink::io {

/// Wakes the coroutine that waits for something another coroutine does. Auto-reset: one set() lets
/// one wait() through, now or later; further set() calls before that count once.
///
/// Single-threaded: use it on its executor only. Destroying it while somebody waits is a defect.
class Event {
public:
    explicit Event(net::any_io_executor executor) : timer_{std::move(executor), never} {}

    /// Returns at once when the event is set. Throws net::error::operation_aborted when cancelled.
    net::awaitable<void> wait();

    /// As wait(), but returns false when `deadline` came first.
    /// Requires: nobody else waits on this event at the same time.
    net::awaitable<bool> wait_until(Instant deadline);

    void set();

    /// Takes back a set() that nobody has consumed.
    void clear() { set_ = false; }

    [[nodiscard]] bool is_set() const { return set_; }

private:
    net::steady_timer timer_;
    bool set_ = false;
};

} // namespace narrowlink::io

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

#include <optional>
#include <utility>

namespace narrowlink::io {

/// Runs `task` to its end, or cancels it at `deadline` and throws errc::timed_out.
///
/// Returns only after `task` has really ended, so `task` may refer to locals of the caller. What
/// `task` throws is passed on; when the caller itself is cancelled, so is `task`. Costs a few
/// allocations: meant for handshakes and requests, not for each read of a pump.
///
/// Not `task || timer`: that operator waits for a *success*, so a task that fails at once would
/// be reported only when the timer fires.
net::awaitable<void> with_deadline(Instant deadline, net::awaitable<void> task);

namespace detail {

template <class T>
net::awaitable<void> store_result(net::awaitable<T> task, std::optional<T>& result)
{
    result.emplace(co_await std::move(task));
}

} // namespace detail

/// The same for a task with a value. T need not be default-constructible, so it may be a socket.
template <class T>
net::awaitable<T> with_deadline(Instant deadline, net::awaitable<T> task)
{
    std::optional<T> result;
    // Named, because GCC 12 may destroy twice what is made inside a co_await expression.
    auto storing = detail::store_result(std::move(task), result);
    auto bounded = with_deadline(deadline, std::move(storing));
    co_await std::move(bounded);
    co_return std::move(*result);
}

} // namespace narrowlink::io

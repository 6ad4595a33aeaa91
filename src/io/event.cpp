#include "narrowlink/io/event.hpp"

#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::io {

net::awaitable<void> Event::wait()
{
    co_await wait_until(never);
}

net::awaitable<bool> Event::wait_until(Instant deadline)
{
    if (!set_ && timer_.expiry() != deadline)
        timer_.expires_at(deadline);
    while (!set_) {
        boost::system::error_code woken;
        co_await timer_.async_wait(net::redirect_error(net::use_awaitable, woken));
        if (set_)
            break;
        if (!woken)
            co_return false;
        const auto state = co_await net::this_coro::cancellation_state;
        if (state.cancelled() != net::cancellation_type::none)
            throw boost::system::system_error{net::error::operation_aborted};
        // set() woke several waiters and another one was first
    }
    set_ = false;
    co_return true;
}

void Event::set()
{
    set_ = true;
    timer_.cancel();
}

} // namespace narrowlink::io

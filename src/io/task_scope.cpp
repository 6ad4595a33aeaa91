#include "narrowlink/io/task_scope.hpp"

#include "narrowlink/base/time.hpp"

#include <cassert>
#include <utility>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>

namespace narrowlink::io {

TaskScope::TaskScope(net::any_io_executor executor, std::function<void(std::exception_ptr)> on_exit)
    : executor_{std::move(executor)}, on_exit_{std::move(on_exit)}, idle_{executor_, never}
{
}

TaskScope::~TaskScope()
{
    assert(running_.empty() && "join() the scope before its owner goes away");
}

void TaskScope::spawn(net::awaitable<void> task)
{
    const auto self = running_.emplace(running_.end());
    net::co_spawn(
        executor_, std::move(task),
        net::bind_cancellation_slot(self->slot(), [this, self](std::exception_ptr failure) {
            running_.erase(self);
            if (on_exit_)
                on_exit_(std::move(failure));
            if (running_.empty())
                idle_.cancel();
        }));
    if (joining_)
        self->emit(net::cancellation_type::terminal);
}

void TaskScope::cancel()
{
    for (auto it = running_.begin(); it != running_.end();)
        (it++)->emit(net::cancellation_type::terminal);
}

// Cancellation of the joiner is not disabled but ignored: reset_cancellation_state() would forget
// it for the whole stack of coroutines, and a caller's loop would then go on for ever.
net::awaitable<void> TaskScope::join()
{
    const bool throws = co_await net::this_coro::throw_if_cancelled();
    co_await net::this_coro::throw_if_cancelled(false);
    joining_ = true;
    cancel();
    while (!running_.empty()) {
        boost::system::error_code woken;
        co_await idle_.async_wait(net::redirect_error(net::use_awaitable, woken));
    }
    joining_ = false;
    co_await net::this_coro::throw_if_cancelled(throws);
}

net::awaitable<void> TaskScope::run(net::awaitable<void> body)
{
    std::exception_ptr failure;
    try {
        co_await std::move(body);
    } catch (...) {
        failure = std::current_exception();
    }
    const bool throws = co_await net::this_coro::throw_if_cancelled();
    co_await net::this_coro::throw_if_cancelled(false);
    co_await join();
    co_await net::this_coro::throw_if_cancelled(throws);
    if (failure)
        std::rethrow_exception(failure);
}

net::awaitable<void> TaskScope::wait()
{
    while (!running_.empty()) {
        boost::system::error_code woken;
        co_await idle_.async_wait(net::redirect_error(net::use_awaitable, woken));
    }
}

bool is_cancellation(const std::exception_ptr& failure)
{
    if (!failure)
        return false;
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        return error.code() == net::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

} // namespace narrowlink::io

#pragma once

#include "narrowlink/io/asio.hpp"

#include <exception>
#include <functional>
#include <list>

#include <boost/asio/cancellation_signal.hpp>

namespace narrowlink::io {

/// Owns the tasks that one object started: none of them outlives it.
///
/// Single-threaded: use it on its executor only. join() before destruction; run() does it on every
/// way out:
///
///     TaskScope scope{executor, on_exit};
///     auto body = accept_loop(scope);
///     co_await scope.run(std::move(body));
class TaskScope {
public:
    /// `on_exit` is told how each task ended; nullptr means that it returned. A cancelled task
    /// usually ends with net::error::operation_aborted; see is_cancellation().
    TaskScope(net::any_io_executor executor, std::function<void(std::exception_ptr)> on_exit);

    TaskScope(const TaskScope&) = delete; // a running task holds its address
    TaskScope& operator=(const TaskScope&) = delete;

    ~TaskScope();

    /// On the executor's own thread the task starts within this call and runs to its first
    /// suspension; `on_exit` is never called from within. Once join() has begun, a new task is
    /// cancelled at once.
    void spawn(net::awaitable<void> task);

    /// Asks every running task to end. They end at their next await; join() waits for that.
    void cancel();

    /// Cancels every task and waits until the last one has ended. Cannot itself be cancelled.
    ///
    /// Requires: the caller has not been cancelled, or has said
    /// `co_await net::this_coro::throw_if_cancelled(false)`: else the very `co_await scope.join()`
    /// throws before join() begins. run() takes care of that.
    net::awaitable<void> join();

    /// Runs `body`, which may spawn, and joins the scope however `body` ended; then passes on what
    /// `body` threw.
    net::awaitable<void> run(net::awaitable<void> body);

    /// Waits until every task has ended by itself. Cancellation ends the wait, not the tasks.
    net::awaitable<void> wait();

    [[nodiscard]] std::size_t size() const { return running_.size(); }

    [[nodiscard]] bool empty() const { return running_.empty(); }

private:
    net::any_io_executor executor_;
    std::function<void(std::exception_ptr)> on_exit_;
    std::list<net::cancellation_signal> running_;
    net::steady_timer idle_;
    bool joining_ = false;
};

/// Did the task end because it was cancelled?
bool is_cancellation(const std::exception_ptr& failure);

} // namespace narrowlink::io

#include "narrowlink/io/with_deadline.hpp"

#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

namespace narrowlink::io {

net::awaitable<void> with_deadline(Instant deadline, net::awaitable<void> task)
{
    if (deadline == never) {
        co_await std::move(task);
        co_return;
    }
    const auto executor = co_await net::this_coro::executor;
    net::steady_timer timer{executor, deadline};

    auto group = net::experimental::make_parallel_group(
        net::co_spawn(executor, std::move(task), net::deferred), timer.async_wait(net::deferred));
    auto [order, failure, not_expired] =
        co_await group.async_wait(net::experimental::wait_for_one{}, net::use_awaitable);

    if (order[0] == 1 && !not_expired)
        throw boost::system::system_error{make_error_code(boost::system::errc::timed_out)};
    if (failure)
        std::rethrow_exception(failure);
    if (order[0] == 1) // our own caller cancelled us, and the task took no notice
        throw boost::system::system_error{net::error::operation_aborted};
}

} // namespace narrowlink::io

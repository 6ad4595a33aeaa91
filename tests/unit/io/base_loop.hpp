#pragma once

#include "narrowlink/io/asio.hpp"

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/system/system_error.hpp>

namespace narrowlink::io::test {

/// Runs one task on a loop of its own until nothing is left to do; throws what the task threw.
inline void run(net::io_context& loop, net::awaitable<void> task)
{
    std::exception_ptr failure;
    net::co_spawn(loop, std::move(task), [&](std::exception_ptr thrown) { failure = thrown; });
    loop.run();
    loop.restart();
    if (failure)
        std::rethrow_exception(failure);
}

template <class T>
net::awaitable<void> keep(net::awaitable<T> task, std::optional<T>& result)
{
    result.emplace(co_await std::move(task));
}

template <class T>
T run(net::io_context& loop, net::awaitable<T> task)
{
    std::optional<T> result;
    run(loop, keep(std::move(task), result));
    return std::move(*result);
}

/// The error code that `task` throws; no error when it returns.
inline boost::system::error_code error_of(net::io_context& loop, net::awaitable<void> task)
{
    try {
        run(loop, std::move(task));
    } catch (const boost::system::system_error& error) {
        return error.code();
    }
    return {};
}

template <class T>
boost::system::error_code error_of(net::io_context& loop, net::awaitable<T> task)
{
    std::optional<T> result;
    return error_of(loop, keep(std::move(task), result));
}

} // namespace narrowlink::io::test

#include "narrowlink/io/together.hpp"

#include <array>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

namespace narrowlink::io {
namespace {

template <std::size_t N>
void rethrow_first(const std::array<std::size_t, N>& order,
                   const std::array<std::exception_ptr, N>& failures)
{
    for (const std::size_t task : order)
        if (failures[task])
            std::rethrow_exception(failures[task]);
}

} // namespace

net::awaitable<void> together(net::awaitable<void> a, net::awaitable<void> b)
{
    auto executor = co_await net::this_coro::executor;
    auto group = net::experimental::make_parallel_group(
        net::co_spawn(executor, std::move(a), net::deferred),
        net::co_spawn(executor, std::move(b), net::deferred));
    const auto [order, first, second] =
        co_await group.async_wait(net::experimental::wait_for_one_error{}, net::use_awaitable);
    rethrow_first<2>(order, {first, second});
}

net::awaitable<void> together(net::awaitable<void> a, net::awaitable<void> b,
                              net::awaitable<void> c)
{
    auto executor = co_await net::this_coro::executor;
    auto group = net::experimental::make_parallel_group(
        net::co_spawn(executor, std::move(a), net::deferred),
        net::co_spawn(executor, std::move(b), net::deferred),
        net::co_spawn(executor, std::move(c), net::deferred));
    const auto [order, first, second, third] =
        co_await group.async_wait(net::experimental::wait_for_one_error{}, net::use_awaitable);
    rethrow_first<3>(order, {first, second, third});
}

} // namespace narrowlink::io

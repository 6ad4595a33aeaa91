#include "narrowlink/io/run_until_stopped.hpp"

#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/together.hpp"

#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>

namespace narrowlink::io {
namespace {

// together() ends its other task only by an exception.
struct Ended {};
struct Stopped {};

net::awaitable<void> run_to_the_end(net::awaitable<void> task)
{
    co_await std::move(task);
    throw Ended{};
}

net::awaitable<void> wait_for_stop(Signals& signals)
{
    auto next = signals.next();
    co_await std::move(next);
    throw Stopped{};
}

net::awaitable<void> run_beside_signals(net::awaitable<void> task)
{
    Signals signals{co_await net::this_coro::executor};
    auto running = run_to_the_end(std::move(task));
    auto stop = wait_for_stop(signals);
    auto both = together(std::move(running), std::move(stop));
    co_await std::move(both);
}

} // namespace

bool run_until_stopped(net::awaitable<void> task)
{
    net::io_context context{1};
    net::co_spawn(context, run_beside_signals(std::move(task)),
                  [](const std::exception_ptr& failure) {
                      if (failure)
                          std::rethrow_exception(failure);
                  });
    try {
        context.run();
    } catch (const Ended&) {
        return true;
    } catch (const Stopped&) {
    }
    return false;
}

} // namespace narrowlink::io

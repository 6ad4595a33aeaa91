#include "narrowlink/io/signals.hpp"

#include <csignal>

namespace narrowlink::io {

Signals::Signals(const net::any_io_executor& executor) : signals_{executor, SIGTERM, SIGINT, SIGHUP}
{
}

net::awaitable<Signal> Signals::next()
{
    // Named: g++ 12.2 jumps to nowhere from `switch (co_await …)`.
    const int number = co_await signals_.async_wait(net::use_awaitable);
    switch (number) {
    case SIGINT: co_return Signal::interrupt;
    case SIGHUP: co_return Signal::hang_up;
    default: co_return Signal::terminate;
    }
}

void ignore_broken_pipes()
{
    std::signal(SIGPIPE, SIG_IGN); // NOLINT: cannot fail for SIGPIPE
}

} // namespace narrowlink::io

#pragma once

#include "narrowlink/io/asio.hpp"

#include <boost/asio/signal_set.hpp>

namespace narrowlink::io {

enum class Signal {
    terminate, ///< SIGTERM
    interrupt, ///< SIGINT
    hang_up,   ///< SIGHUP
};

/// Takes the three signals over for as long as it lives; a process has one of these.
class Signals {
public:
    explicit Signals(const net::any_io_executor& executor);

    /// The next signal, also one that came before the call. Ends with cancellation.
    net::awaitable<Signal> next();

private:
    net::signal_set signals_;
};

/// Writing to a pipe or socket without reader becomes an error instead of the end of the process.
void ignore_broken_pipes();

} // namespace narrowlink::io

#pragma once

#include "narrowlink/io/asio.hpp"

namespace narrowlink::io {

/// Runs tasks side by side until all have returned. The first that throws ends the others; when
/// they have ended, its exception is passed on.
///
/// Not Asio's `a && b`: after a failure it reports that of its left operand, or "multiple
/// exceptions", although the other task was only cancelled.
net::awaitable<void> together(net::awaitable<void> a, net::awaitable<void> b);
net::awaitable<void> together(net::awaitable<void> a, net::awaitable<void> b,
                              net::awaitable<void> c);

} // namespace narrowlink::io

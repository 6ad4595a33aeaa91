#pragma once

#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/io/asio.hpp"

#include <optional>

namespace narrowlink::io {

/// Asks the router for a port mapping, or to end one, by NAT-PMP or UPnP-IGD. Nothing when it does
/// not answer, or refuses; an answer to a request that ends a mapping has no meaning but that. What
/// is in an answer is unchecked: see nat::PortLease.
///
/// The libraries for this block, so each question has a thread of its own, which touches nothing
/// else and is never waited for: cancelled, or at `deadline`, this returns at once, and what the
/// thread may still be granted it gives back by itself.
net::awaitable<std::optional<RouterAnswer>> ask_router(RouterRequest request, Instant deadline);

} // namespace narrowlink::io

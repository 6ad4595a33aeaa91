#pragma once

#include "narrowlink/wire/random_id.hpp"

#include <cstdint>

namespace narrowlink::wire {

/// What one end of a session calls a pair in relay messages. The gateway chooses it, for one
/// session, and never uses it again in that session.
enum class PairHandle : std::uint32_t {};

/// One session of a node, as its gateway counts them; not on the wire.
enum class SessionId : std::uint64_t {};

/// The client's name for a pair. It outlives sessions: with it the client finds the pair again.
using PairId = RandomId<struct PairTag>;

} // namespace narrowlink::wire

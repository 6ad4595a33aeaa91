#pragma once

#include "narrowlink/control/message.hpp"
#include "narrowlink/crypto/identity.hpp"
#include "narrowlink/wire/pair.hpp"
#include "narrowlink/wire/relay_tag.hpp"

namespace narrowlink::control {

/// The tag of one end of a pair. Both ends and the gateway know what it is made of, and nobody else
/// does: the pair's id is secret.
wire::RelayTag relay_tag(Role end, const crypto::Pin& client_key, const wire::PairId& pair);

} // namespace narrowlink::control

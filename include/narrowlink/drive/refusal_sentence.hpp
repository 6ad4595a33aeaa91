#pragma once

#include "narrowlink/io/web_socket.hpp"

#include <string>

namespace narrowlink::drive {

/// What the error says to people; for a refused token with the gateway's reason (RFC 6750 §3), which is
/// cut and cleaned because a stranger may have written it.
std::string refusal_sentence(const io::WebError& error);

} // namespace narrowlink::drive

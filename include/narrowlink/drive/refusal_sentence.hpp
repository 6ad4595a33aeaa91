#pragma once

#include "narrowlink/io/web_socket.hpp"

#include <string>

namespace narrowlink::drive {

/// What the error says to people. For a refused token the gateway says why in one word (RFC 6750 §3; a
/// stranger must not learn more from it); the sentence is ours.
std::string refusal_sentence(const io::WebError& error);

} // namespace narrowlink::drive

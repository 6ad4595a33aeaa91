#pragma once

#include "narrowlink/control/message.hpp"

#include <string>
#include <string_view>

namespace narrowlink::control {

// What message_format.cpp and message_parse.cpp share.

RefusalReason parse_refusal_reason(std::string_view text);
ClosingReason parse_closing_reason(std::string_view text);

std::string_view spray_order(nat::Spray::Order);

/// How messages and probes number the gateway's sockets.
constexpr unsigned gateway_place(nat::GatewaySocket socket)
{
    return socket.address * 8 + socket.port;
}

/// C0 controls and DEL: they would act on a terminal that shows the text.
bool is_control_character(char c);

/// At most max_sentence_size bytes, without control characters.
std::string readable_sentence(std::string_view text);

} // namespace narrowlink::control

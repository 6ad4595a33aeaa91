#include "narrowlink/path/carrier.hpp"

namespace narrowlink::path {

std::string_view to_string(CarrierKind kind)
{
    switch (kind) {
    case CarrierKind::websocket_relay: return "relay-websocket";
    case CarrierKind::udp_relay: return "relay-udp";
    case CarrierKind::direct_udp: return "direct-udp";
    }
    return "unknown";
}

} // namespace narrowlink::path

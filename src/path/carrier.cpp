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

int rank(CarrierKind kind)
{
    switch (kind) {
    case CarrierKind::websocket_relay: return 1;
    case CarrierKind::udp_relay: return 2;
    case CarrierKind::direct_udp: return 3;
    }
    return 0;
}

} // namespace narrowlink::path

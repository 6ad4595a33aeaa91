#include "narrowlink/base/port_mapping.hpp"

namespace narrowlink {

std::string_view to_string(PortMappingProtocol protocol)
{
    switch (protocol) {
    case PortMappingProtocol::nat_pmp: return "nat-pmp";
    case PortMappingProtocol::pcp: return "pcp";
    case PortMappingProtocol::upnp: return "upnp";
    }
    return "";
}

} // namespace narrowlink

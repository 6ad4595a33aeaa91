#include "narrowlink/config/port_mapping.hpp"

#include "narrowlink/config/section.hpp"

namespace narrowlink::config {

PortMappingMode read_port_mapping(Section& root)
{
    return root.choice("port_mapping", PortMappingMode::automatic,
                       {{"auto", PortMappingMode::automatic},
                        {"nat-pmp", PortMappingMode::nat_pmp},
                        {"pcp", PortMappingMode::pcp},
                        {"upnp", PortMappingMode::upnp},
                        {"off", PortMappingMode::off}});
}

} // namespace narrowlink::config

#pragma once

#include "narrowlink/base/port_mapping.hpp"

namespace narrowlink::config {

class Section;

/// `port_mapping:` of agents and clients.
PortMappingMode read_port_mapping(Section& root);

} // namespace narrowlink::config

#pragma once

#include "narrowlink/base/congestion_control.hpp"
#include "narrowlink/config/section.hpp"

namespace narrowlink::config {

/// Reads the key `congestion_control`.
CongestionControl read_congestion_control(Section& root);

} // namespace narrowlink::config

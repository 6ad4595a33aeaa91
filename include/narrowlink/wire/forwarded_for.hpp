#pragma once

#include "narrowlink/base/address.hpp"

#include <span>
#include <string_view>

namespace narrowlink::wire {

/// The client's address as far as it can be trusted: `peer` itself unless it lies in `trusted`;
/// then the rightmost address of `field` (X-Forwarded-For, several fields joined by commas) that
/// does not.
///
/// Each proxy appends whom it heard from, so everything left of the first address outside `trusted`
/// is what a stranger claims. Reading stops there, and at anything that is no address; the
/// answer is then the last trusted hop. Ports and brackets are accepted and dropped.
IpAddress forwarded_client(const IpAddress& peer, std::string_view field,
                           std::span<const IpPrefix> trusted);

} // namespace narrowlink::wire

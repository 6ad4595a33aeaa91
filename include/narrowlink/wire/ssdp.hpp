#pragma once

#include "narrowlink/base/address.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::wire {

/// Where a router listens for searches.
inline constexpr std::uint16_t ssdp_port = 1'900;

/// The question whether this router is an Internet gateway device, to be sent to it alone: a
/// unicast M-SEARCH, UPnP Device Architecture 1.1 §1.3.2. Libraries only know the one to all of the
/// network.
std::string ssdp_search(const IpAddress& router);

/// The URL of its description, from its answer. Empty unless the URL is of this very router:
/// whoever can send a datagram could else have us fetch anything.
std::optional<std::string> decode_ssdp_answer(std::string_view answer, const IpAddress& router);

/// Is it a URL of HTTP on this router, by its address and with a port?
bool is_url_of(std::string_view url, const IpAddress& router);

} // namespace narrowlink::wire

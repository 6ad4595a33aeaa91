#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

#include <functional>
#include <string>
#include <vector>

namespace narrowlink::io {

/// Why a name has no address.
enum class ResolveError {
    no_such_name = 1, ///< the name does not exist, or has no address; asking again will not help
    failed,           ///< the resolver has no answer now, e.g. because the network is down
    timed_out,        ///< no answer until the deadline
};

ErrorCode make_error_code(ResolveError) noexcept;

/// The addresses of `host` in the order of RFC 6724 §6; at least one. An IP address is its own
/// answer.
///
/// Asks getaddrinfo(3), so /etc/hosts and every other source of the system count. It cannot be
/// interrupted; therefore it runs on threads of its own, a lookup that hangs delays no other, and
/// while none has answered a fresh one is started every second: the network may be back by then.
///
/// Requires: `host` outlives the await. Errors: ResolveError.
net::awaitable<std::vector<IpAddress>> resolve(const std::string& host, Instant deadline);

/// What a thread does to look a name up. Replaced in tests only.
using Lookup = std::function<Result<std::vector<IpAddress>>(const std::string& host)>;

net::awaitable<std::vector<IpAddress>> resolve_with(Lookup lookup, const std::string& host,
                                                    Instant deadline, Duration ask_again_after);

} // namespace narrowlink::io

template <>
struct boost::system::is_error_code_enum<narrowlink::io::ResolveError> : std::true_type {
};

#pragma once

#include "narrowlink/base/result.hpp"

#include <string_view>

namespace narrowlink::io {

/// Tells the service manager about this process: sd_notify(3), which is one datagram to the socket
/// that $NOTIFY_SOCKET names. Without that variable all of them do nothing and succeed.
///
/// Errors: what socket(2) or sendto(2) reported; worth a log line, never worth ending for.
Result<> notify_ready();
Result<> notify_stopping();

/// One line that `systemctl status` shows. What follows a line break is left out.
Result<> notify_status(std::string_view text);

} // namespace narrowlink::io

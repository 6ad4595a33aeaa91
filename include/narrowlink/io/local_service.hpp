#pragma once

#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace narrowlink::io {

/// Says one text to everybody who connects to a socket in the file system (unix(7)): how other
/// processes of the same user look into this one. Who may connect is who may enter the directory.
///
/// Single-threaded. run() must have ended before destruction, which removes the socket.
class LocalService {
public:
    /// `report` makes the text; it is called for each connection. Paths of any length will do.
    /// Throws system_error with the code of socket(2), bind(2) or listen(2).
    LocalService(const net::any_io_executor& executor, std::filesystem::path path,
                 std::function<std::string()> report);
    LocalService(const LocalService&) = delete;
    LocalService& operator=(const LocalService&) = delete;
    ~LocalService();

    /// Until cancelled.
    net::awaitable<void> run();

private:
    struct State;

    std::unique_ptr<State> state_;
};

/// What the service at `path` says.
/// Errors: errc::connection_refused when its process is gone; errc::timed_out; what the kernel reported.
net::awaitable<Result<std::string>> ask_local_service(std::filesystem::path path, Instant deadline);

} // namespace narrowlink::io

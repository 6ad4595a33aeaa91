#pragma once

#include "narrowlink/base/result.hpp"

#include <filesystem>
#include <optional>

namespace narrowlink::io {

struct DaemonOptions {
    std::filesystem::path pid_file; ///< empty: none
    std::filesystem::path log_file; ///< appended to; empty: /dev/null
};

/// The daemon's side of daemonize().
class Daemon {
public:
    Daemon(Daemon&& other) noexcept;
    Daemon& operator=(Daemon&&) = delete;

    /// Before ready(), it makes the command that started the daemon end with 1. Removes the file
    /// with the process id.
    ~Daemon();

    /// Ends the command that started the daemon, with 0, and moves stderr to the log file: until
    /// then errors are seen on the terminal.
    void ready();

    /// Before ready(): ends the command that started the daemon with this code.
    void fail(int exit_code);

private:
    friend Result<Daemon> daemonize(const DaemonOptions& options);

    Daemon(int to_parent, int log, std::filesystem::path pid_file);

    void tell_parent(int exit_code);

    int to_parent_, log_;
    std::filesystem::path pid_file_;
};

/// Goes on in the background: two forks, a session of its own, no terminal, working directory `/`,
/// stdin from /dev/null, stdout to the log. Returns in the daemon only; the calling process waits
/// for Daemon::ready() and ends.
///
/// Requires: one thread, no event loop yet (they do not survive a fork), no buffered output; paths
/// that are used later are absolute. Errors: what a system call reported; say so on stderr and end
/// with 1, which is right in whichever of the processes it happens.
Result<Daemon> daemonize(const DaemonOptions& options);

} // namespace narrowlink::io

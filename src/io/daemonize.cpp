#include "narrowlink/io/daemonize.hpp"

#include "narrowlink/io/files.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <boost/system/system_category.hpp>
#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

ErrorCode last_error()
{
    return {errno, boost::system::system_category()};
}

/// The end of the calling process: with what the daemon says, or 1 when it says nothing.
[[noreturn]] void wait_for_daemon(pid_t child, int from_daemon)
{
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    unsigned char exit_code = EXIT_FAILURE;
    ssize_t n = 0;
    do
        n = ::read(from_daemon, &exit_code, 1);
    while (n < 0 && errno == EINTR);
    ::_exit(n == 1 ? exit_code : EXIT_FAILURE);
}

int open_log(const std::filesystem::path& path)
{
    if (path.empty())
        return ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

Result<> become_daemon(int log, const std::filesystem::path& pid_file)
{
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return last_error();
    // stdout leads to the log: what a library prints there is worth keeping.
    const bool redirected =
        ::dup2(null, STDIN_FILENO) == STDIN_FILENO && ::dup2(log, STDOUT_FILENO) == STDOUT_FILENO;
    ::close(null);
    if (!redirected)
        return last_error();
    if (!pid_file.empty()) {
        const std::string number = fmt::format("{}\n", ::getpid());
        if (auto written = write_file_atomically(pid_file, as_bytes(number), FileMode::readable);
            !written)
            return written;
    }
    if (::chdir("/") != 0) // so that no file system is kept from being unmounted
        return last_error();
    ::umask(077);
    return {};
}

} // namespace

Daemon::Daemon(int to_parent, int log, std::filesystem::path pid_file)
    : to_parent_{to_parent}, log_{log}, pid_file_{std::move(pid_file)}
{
}

Daemon::Daemon(Daemon&& other) noexcept
    : to_parent_{std::exchange(other.to_parent_, -1)}
    , log_{std::exchange(other.log_, -1)}
    , pid_file_{std::exchange(other.pid_file_, {})}
{
}

Daemon::~Daemon()
{
    if (to_parent_ >= 0)
        ::close(to_parent_);
    if (log_ >= 0)
        ::close(log_);
    if (!pid_file_.empty())
        ::unlink(pid_file_.c_str());
}

void Daemon::ready()
{
    if (to_parent_ < 0)
        return;
    ::dup2(log_, STDERR_FILENO);
    tell_parent(EXIT_SUCCESS);
}

void Daemon::fail(int exit_code)
{
    if (to_parent_ >= 0)
        tell_parent(exit_code);
}

void Daemon::tell_parent(int exit_code)
{
    const auto byte = static_cast<unsigned char>(exit_code);
    [[maybe_unused]] const ssize_t ignored = ::write(to_parent_, &byte, 1);
    ::close(std::exchange(to_parent_, -1));
}

Result<Daemon> daemonize(const DaemonOptions& options)
{
    const int log = open_log(options.log_file);
    if (log < 0)
        return last_error();
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
        return last_error();
    const std::filesystem::path pid_file =
        options.pid_file.empty() ? options.pid_file : std::filesystem::absolute(options.pid_file);

    const pid_t child = ::fork();
    if (child < 0)
        return last_error();
    if (child > 0) {
        ::close(pipe[1]);
        wait_for_daemon(child, pipe[0]);
    }
    ::close(pipe[0]);
    ::setsid();
    // The leader of a session would get a terminal by merely opening one; its child does not.
    if (const pid_t daemon = ::fork(); daemon != 0)
        ::_exit(daemon < 0 ? EXIT_FAILURE : EXIT_SUCCESS);

    Daemon self{pipe[1], log, pid_file};
    if (auto become = become_daemon(log, pid_file); !become)
        return become.error();
    return self;
}

} // namespace narrowlink::io

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/daemonize.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/notify.hpp"
#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "base_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// --- signals

struct SignalsTest : testing::Test {
    net::io_context loop;
    Signals signals{loop.get_executor()};
};

TEST_F(SignalsTest, TellsWhichSignalCame)
{
    ::raise(SIGTERM);
    EXPECT_EQ(test::run(loop, signals.next()), Signal::terminate);
    ::raise(SIGINT);
    EXPECT_EQ(test::run(loop, signals.next()), Signal::interrupt);
    ::raise(SIGHUP);
    EXPECT_EQ(test::run(loop, signals.next()), Signal::hang_up);
}

TEST_F(SignalsTest, StopsWaitingWhenCancelled)
{
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 2ms, signals.next())),
              boost::system::errc::timed_out);
}

TEST(BrokenPipe, IsAnErrorInsteadOfASignal)
{
    ignore_broken_pipes();
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    ::close(pipe[0]);
    EXPECT_EQ(::write(pipe[1], "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
    ::close(pipe[1]);
}

// --- the service manager

/// The socket of a service manager; an abstract one when `name` begins with @.
class ServiceManager {
public:
    explicit ServiceManager(const std::string& name)
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, name.data(), name.size());
        if (name[0] == '@')
            address.sun_path[0] = '\0';
        const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), length), 0);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    }

    ServiceManager(const ServiceManager&) = delete;
    ServiceManager& operator=(const ServiceManager&) = delete;

    ~ServiceManager()
    {
        ::unsetenv("NOTIFY_SOCKET");
        ::close(socket_);
    }

    [[nodiscard]] std::string next() const
    {
        std::array<char, 500> block{};
        const ssize_t n = ::recv(socket_, block.data(), block.size(), MSG_DONTWAIT);
        return n < 0 ? "nothing" : std::string{block.data(), static_cast<std::size_t>(n)};
    }

private:
    int socket_ = ::socket(AF_UNIX, SOCK_DGRAM, 0);
};

TEST(Notify, TellsTheServiceManagerWhatHappens)
{
    const std::string path = testing::TempDir() + "narrowlink-notify-" + std::to_string(::getpid());
    for (const std::string& name : {path, "@" + path}) {
        SCOPED_TRACE(name);
        const ServiceManager manager{name};
        EXPECT_TRUE(notify_ready());
        EXPECT_EQ(manager.next(), "READY=1");
        EXPECT_TRUE(notify_status("3 agents\nREADY=0"));
        EXPECT_EQ(manager.next(), "STATUS=3 agents");
        EXPECT_TRUE(notify_stopping());
        EXPECT_EQ(manager.next(), "STOPPING=1");
        EXPECT_EQ(manager.next(), "nothing");
    }
    ::unlink(path.c_str());
}

TEST(Notify, DoesNothingWithoutAServiceManager)
{
    ::unsetenv("NOTIFY_SOCKET");
    EXPECT_TRUE(notify_ready());
}

TEST(Notify, FailsWhenTheSocketIsUnusable)
{
    for (const std::string& bad : {std::string{"relative"}, "/" + std::string(200, 'x'),
                                   std::string{"/nonexistent/socket"}}) {
        ::setenv("NOTIFY_SOCKET", bad.c_str(), 1);
        EXPECT_FALSE(notify_ready()) << bad;
    }
    ::unsetenv("NOTIFY_SOCKET");
}

// --- daemons

struct Daemonize : testing::Test {
    Daemonize()
    {
        std::string name = testing::TempDir() + "narrowlink-XXXXXX";
        directory = ::mkdtemp(name.data());
    }

    ~Daemonize() override { fs::remove_all(directory); }

    /// The exit status of a command that goes into the background and there runs `body`.
    static int start(const DaemonOptions& options, void (*body)(Daemon&))
    {
        const pid_t command = ::fork();
        if (command == 0) {
            auto daemon = daemonize(options);
            if (!daemon)
                ::_exit(3);
            body(*daemon);
            {
                const Daemon last = std::move(*daemon);
            }
            ::_exit(0);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(command, &status, 0), command);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    [[nodiscard]] std::string wait_for(const fs::path& file, std::string_view end) const
    {
        for (int i = 0; i < 1'000; ++i) {
            const auto content = read_file(directory / file, 1'000);
            if (content && content->ends_with(end))
                return *content;
            ::usleep(10'000);
        }
        return "never came";
    }

    fs::path directory;
};

void say(std::string_view text)
{
    EXPECT_EQ(::write(STDERR_FILENO, text.data(), text.size()), std::ssize(text));
}

TEST_F(Daemonize, EndsTheCommandOnceTheDaemonIsReady)
{
    static const pid_t session_before = ::getsid(0);
    const DaemonOptions options{.pid_file = directory / "pid", .log_file = directory / "log"};
    const auto body = [](Daemon& daemon) {
        daemon.ready();
        char byte = 0;
        if (::getsid(0) != session_before && ::getsid(0) != ::getpid() && ::read(0, &byte, 1) == 0)
            say("in a session of another, without input\n");
        say(fs::current_path() == "/" ? "in the root directory\n" : "elsewhere\n");
        ::usleep(200'000);
    };
    EXPECT_EQ(start(options, body), 0);
    EXPECT_EQ(wait_for("log", "directory\n"),
              "in a session of another, without input\nin the root directory\n");
    EXPECT_GT(std::stoi(wait_for("pid", "\n")), 1);
    for (int i = 0; i < 1'000 && fs::exists(directory / "pid"); ++i)
        ::usleep(10'000);
    EXPECT_FALSE(fs::exists(directory / "pid"));
}

TEST_F(Daemonize, FailsTheCommandWhenTheDaemonEndsBeforeItIsReady)
{
    EXPECT_EQ(start({}, [](Daemon&) {}), 1);
}

TEST_F(Daemonize, ReportsALogFileThatCannotBeOpened)
{
    EXPECT_EQ(start({.pid_file = {}, .log_file = directory / "missing" / "log"}, [](Daemon&) {}),
              3);
}

} // namespace
} // namespace narrowlink::io

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/standard_streams.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "base_loop.hpp"

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

/// Two connected descriptors: what is written to `far` is read from `near`, or the reverse.
struct Ends {
    int near = -1, far = -1;

    Ends(int n, int f) : near{n}, far{f} {}

    Ends(Ends&& other) noexcept
        : near{std::exchange(other.near, -1)}, far{std::exchange(other.far, -1)}
    {
    }

    Ends& operator=(Ends&&) = delete;

    ~Ends()
    {
        ::close(near);
        close_far();
    }

    void close_far() { ::close(std::exchange(far, -1)); }

    static Ends pipe(bool reading)
    {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        return reading ? Ends{ends[0], ends[1]} : Ends{ends[1], ends[0]};
    }

    static Ends socket(bool)
    {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        return Ends{ends[0], ends[1]};
    }

    static Ends terminal(bool)
    {
        int near = -1;
        int far = -1;
        EXPECT_EQ(::openpty(&far, &near, nullptr, nullptr, nullptr), 0);
        termios raw{};
        ::tcgetattr(near, &raw);
        ::cfmakeraw(&raw);
        ::tcsetattr(near, TCSANOW, &raw);
        return Ends{near, far};
    }
};

int flags(int descriptor)
{
    return ::fcntl(descriptor, F_GETFL);
}

void send(int descriptor, std::string_view text)
{
    ASSERT_EQ(::write(descriptor, text.data(), text.size()), std::ssize(text));
}

std::string receive(int descriptor, std::size_t most = 100)
{
    std::string text(most, '\0');
    const ssize_t n = ::read(descriptor, text.data(), text.size());
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
}

net::awaitable<std::string> read_once(StandardInput& input)
{
    std::vector<std::byte> block(100);
    const std::size_t n = co_await input.read_some(block);
    co_return std::string{as_text(Bytes{block}.first(n))};
}

net::awaitable<std::size_t> count_to_the_end(StandardInput& input)
{
    std::vector<std::byte> block(1'000);
    std::size_t total = 0;
    while (const std::size_t n = co_await input.read_some(block))
        total += n;
    co_return total;
}

struct Kind {
    const char* name;
    Ends (*make)(bool reading);
};

class StandardStreams : public testing::TestWithParam<Kind> {
protected:
    net::io_context loop;
};

TEST_P(StandardStreams, ReadWhatComesLater)
{
    const Ends ends = GetParam().make(true);
    StandardInput input{loop.get_executor(), ends.near};
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, read_once(input))),
              boost::system::errc::timed_out)
        << "reading does not block the loop, and can be cancelled";
    send(ends.far, "hello");
    EXPECT_EQ(test::run(loop, read_once(input)), "hello");
}

TEST_P(StandardStreams, WriteWithoutBlockingTheLoop)
{
    const Ends ends = GetParam().make(false);
    StandardOutput output{loop.get_executor(), ends.near};
    const std::vector<std::byte> much(10'000'000, std::byte{'x'});
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 20ms, output.write(much))),
              boost::system::errc::timed_out)
        << "nobody reads";
    EXPECT_EQ(receive(ends.far), std::string(100, 'x'));
}

TEST_P(StandardStreams, LeaveTheFlagsOfTheSharedDescriptorAsTheyWere)
{
    const Ends in = GetParam().make(true);
    const Ends out = GetParam().make(false);
    const int before_in = flags(in.near);
    const int before_out = flags(out.near);
    {
        StandardInput input{loop.get_executor(), in.near};
        StandardOutput output{loop.get_executor(), out.near};
        send(in.far, "x");
        test::run(loop, read_once(input));
        test::error_of(loop, with_deadline(now() + 2ms, read_once(input)));
        test::run(loop, output.write(as_bytes("y")));
    }
    EXPECT_EQ(flags(in.near), before_in);
    EXPECT_EQ(flags(out.near), before_out);
}

INSTANTIATE_TEST_SUITE_P(Kinds, StandardStreams,
                         testing::Values(Kind{"Pipe", Ends::pipe}, Kind{"Socket", Ends::socket},
                                         Kind{"Terminal", Ends::terminal}),
                         [](const auto& test) { return test.param.name; });

struct StandardStream : testing::Test {
    net::io_context loop;
};

TEST_F(StandardStream, SharesOneDescriptionInBothDirections)
{
    for (const auto make : {Ends::socket, Ends::terminal}) {
        const Ends ends = make(true);
        const int before = flags(ends.near);
        {
            StandardInput input{loop.get_executor(), ends.near};
            StandardOutput output{loop.get_executor(), ends.near};
            send(ends.far, "x");
            EXPECT_EQ(test::run(loop, read_once(input)), "x");
            test::run(loop, output.write(as_bytes("y")));
            EXPECT_EQ(receive(ends.far), "y");
        }
        EXPECT_EQ(flags(ends.near), before);
    }
}

TEST_F(StandardStream, NeverChangesTheFlagsOfAPipeOrTerminal)
{
    for (const auto make : {Ends::pipe, Ends::terminal}) {
        const Ends ends = make(true);
        const int before = flags(ends.near);
        StandardInput input{loop.get_executor(), ends.near};
        send(ends.far, "x");
        test::run(loop, read_once(input));
        EXPECT_EQ(flags(ends.near), before) << "not even while we read";
    }
}

TEST_F(StandardStream, EndsWhenTheWriterHasGone)
{
    for (const auto make : {Ends::pipe, Ends::socket}) {
        Ends ends = make(true);
        StandardInput input{loop.get_executor(), ends.near};
        send(ends.far, "last");
        ends.close_far();
        EXPECT_EQ(test::run(loop, count_to_the_end(input)), 4U);
    }
}

TEST_F(StandardStream, ReadsAFileToItsEnd)
{
    std::FILE* file = std::tmpfile();
    const std::string content(123'456, 'x');
    std::fwrite(content.data(), 1, content.size(), file);
    std::rewind(file);
    StandardInput input{loop.get_executor(), ::fileno(file)};
    EXPECT_EQ(test::run(loop, count_to_the_end(input)), content.size());
    std::fclose(file);
}

TEST_F(StandardStream, WritesToAFile)
{
    std::FILE* file = std::tmpfile();
    StandardOutput output{loop.get_executor(), ::fileno(file)};
    test::run(loop, output.write(as_bytes("some ")));
    test::run(loop, output.write(as_bytes("text")));
    std::rewind(file);
    EXPECT_EQ(receive(::fileno(file)), "some text");
    std::fclose(file);
}

TEST_F(StandardStream, KnowsTheNullDevice)
{
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    StandardInput input{loop.get_executor(), null};
    EXPECT_EQ(test::run(loop, count_to_the_end(input)), 0U);
    StandardOutput output{loop.get_executor(), null};
    test::run(loop, output.write(as_bytes("text")));
    ::close(null);
}

TEST_F(StandardStream, ReportsADiskThatIsFull)
{
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    StandardOutput output{loop.get_executor(), full};
    EXPECT_EQ(test::error_of(loop, output.write(as_bytes("text"))),
              boost::system::errc::no_space_on_device);
    ::close(full);
}

TEST_F(StandardStream, TakesAClosedInputForAnEmptyOne)
{
    const int closed = ::dup(0);
    ::close(closed);
    StandardInput input{loop.get_executor(), closed};
    EXPECT_EQ(test::run(loop, count_to_the_end(input)), 0U);
}

TEST_F(StandardStream, ShowsTheReaderTheEndOnClose)
{
    for (const auto make : {Ends::pipe, Ends::socket}) {
        const Ends ends = make(false);
        StandardOutput output{loop.get_executor(), ends.near};
        test::run(loop, output.write(as_bytes("last")));
        output.close();
        EXPECT_EQ(receive(ends.far), "last");
        ::fcntl(ends.far, F_SETFL, O_NONBLOCK);
        char byte = 0;
        EXPECT_EQ(::read(ends.far, &byte, 1), 0);
    }
}

TEST_F(StandardStream, KeepsReadingFromASocketAfterItsOutputWasClosed)
{
    const Ends ends = Ends::socket(true);
    const int both = ::dup(ends.near); // as stdin and stdout of one socket are
    StandardInput input{loop.get_executor(), ends.near};
    StandardOutput output{loop.get_executor(), both};
    output.close();
    char byte = 0;
    EXPECT_EQ(::recv(ends.far, &byte, 1, MSG_DONTWAIT), 0) << "the end of our output";
    send(ends.far, "still here");
    EXPECT_EQ(test::run(loop, read_once(input)), "still here");
    ::close(both);
}

TEST_F(StandardStream, ReportsAReaderThatHasGone)
{
    for (const auto make : {Ends::pipe, Ends::socket}) {
        std::signal(SIGPIPE, SIG_DFL);
        Ends ends = make(false);
        StandardOutput output{loop.get_executor(), ends.near};
        ends.close_far();
        EXPECT_EQ(test::error_of(loop, output.write(as_bytes("text"))),
                  boost::system::errc::broken_pipe);
    }
}

TEST_F(StandardStream, OpensTheNullDeviceWhereAStandardStreamIsClosed)
{
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(STDIN_FILENO);
        ::close(STDOUT_FILENO);
        open_missing_standard_streams();
        char byte = 0;
        ::_exit(::read(STDIN_FILENO, &byte, 1) == 0 && ::write(STDOUT_FILENO, "x", 1) == 1 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

} // namespace
} // namespace narrowlink::io

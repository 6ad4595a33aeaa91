#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/dial.hpp"
#include "narrowlink/io/resolve.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "base_loop.hpp"

#include <boost/asio/ip/v6_only.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
namespace errc = boost::system::errc;

IpAddress ip(std::string_view text)
{
    return IpAddress::parse(text).value();
}

// --- addresses

TEST(AsioAddress, SurvivesTheRoundTrip)
{
    for (const char* text : {"192.0.2.1", "2001:db8::1", "0.0.0.0", "::"})
        EXPECT_EQ(to_string(from_asio(to_asio(ip(text)))), text);
    const SocketAddress address{ip("2001:db8::2"), 443};
    EXPECT_EQ(from_asio(to_tcp_endpoint(address)), address);
    EXPECT_EQ(from_asio(to_udp_endpoint(address)), address);
}

TEST(AsioAddress, TurnsAMappedAddressIntoIpv4)
{
    EXPECT_EQ(from_asio(net::ip::make_address("::ffff:192.0.2.1")), ip("192.0.2.1"));
}

// --- names

struct Resolve : testing::Test {
    net::io_context loop;
    const std::string host = "some.example";
};

TEST_F(Resolve, AnswersAnAddressWithItself)
{
    const std::string literal = "2001:db8::1";
    EXPECT_THAT(test::run(loop, resolve(literal, now() + 1h)), ElementsAre(ip(literal)));
}

TEST_F(Resolve, KnowsLocalhost)
{
    const std::string localhost = "localhost";
    EXPECT_THAT(test::run(loop, resolve(localhost, now() + 1h)),
                testing::Contains(testing::AnyOf(ip("127.0.0.1"), ip("::1"))));
}

TEST_F(Resolve, RefusesWhatCannotBeAName)
{
    for (const std::string& bad : {std::string{}, std::string(254, 'a'), std::string("a\0b", 3)})
        EXPECT_EQ(test::error_of(loop, resolve(bad, now() + 1h)), ResolveError::no_such_name);
}

TEST_F(Resolve, TellsAMissingNameFromAResolverWithoutAnswer)
{
    for (const auto error : {ResolveError::no_such_name, ResolveError::failed}) {
        const Lookup lookup = [error](const std::string&) -> Result<std::vector<IpAddress>> {
            return error;
        };
        EXPECT_EQ(test::error_of(loop, resolve_with(lookup, host, now() + 1h, 1h)), error);
    }
}

/// Lookups that hang until the test is over, except those that `answers` says.
struct HangingLookups {
    std::shared_ptr<std::atomic<int>> calls = std::make_shared<std::atomic<int>>(0);
    std::shared_ptr<std::promise<void>> over = std::make_shared<std::promise<void>>();
    std::shared_future<void> wait_over = over->get_future().share();

    ~HangingLookups() { over->set_value(); }

    [[nodiscard]] Lookup lookup(int answering) const
    {
        return [calls = calls, wait_over = wait_over,
                answering](const std::string&) -> Result<std::vector<IpAddress>> {
            if (++*calls != answering)
                wait_over.wait();
            return std::vector{ip("192.0.2.7")};
        };
    }
};

TEST_F(Resolve, ReturnsAtItsDeadlineAlthoughTheLookupHangs)
{
    const HangingLookups hanging;
    EXPECT_EQ(test::error_of(loop, resolve_with(hanging.lookup(0), host, now() + 5ms, 1h)),
              ResolveError::timed_out);
}

TEST_F(Resolve, AsksAgainWhileALookupHangs)
{
    const HangingLookups hanging;
    EXPECT_THAT(test::run(loop, resolve_with(hanging.lookup(3), host, now() + 1h, 2ms)),
                ElementsAre(ip("192.0.2.7")));
}

TEST_F(Resolve, HasAtMostFourLookupsOfOneQuestionUnderWay)
{
    const HangingLookups hanging;
    test::error_of(loop, resolve_with(hanging.lookup(0), host, now() + 50ms, 1ms));
    EXPECT_LE(*hanging.calls, 4);
}

TEST_F(Resolve, IsNotDelayedByTheLookupsOfOthers)
{
    const HangingLookups hanging;
    test::error_of(loop, resolve_with(hanging.lookup(0), host, now() + 5ms, 1h));
    const std::string localhost = "localhost";
    EXPECT_NO_THROW(test::run(loop, resolve(localhost, now() + 1h)));
}

TEST_F(Resolve, IgnoresTheFailureOfALookupWhileAFresherOneIsUnderWay)
{
    struct State {
        std::promise<void> second_began;
        std::atomic<int> calls{0};
    };

    const auto state = std::make_shared<State>(); // a lookup may outlive the test
    const Lookup lookup = [state](const std::string&) -> Result<std::vector<IpAddress>> {
        const int call = ++state->calls;
        if (call == 1) {
            state->second_began.get_future().wait();
            return ResolveError::failed;
        }
        if (call == 2)
            state->second_began.set_value();
        std::this_thread::sleep_for(20ms); // so that the failure is usually first
        return std::vector{ip("192.0.2.7")};
    };
    EXPECT_THAT(test::run(loop, resolve_with(lookup, host, now() + 1h, 50ms)),
                ElementsAre(ip("192.0.2.7")));
}

TEST_F(Resolve, DropsAQuestionThatNobodyWaitsForAnyMore)
{
    constexpr int most_threads = 32;
    std::atomic<int> looked_up{0};
    const Lookup counting = [&](const std::string&) -> Result<std::vector<IpAddress>> {
        ++looked_up;
        return std::vector{ip("192.0.2.7")};
    };
    {
        const HangingLookups hanging;
        while (*hanging.calls < most_threads)
            test::error_of(loop, resolve_with(hanging.lookup(0), host, now() + 1ms, 1h));
        EXPECT_EQ(test::error_of(loop, resolve_with(counting, host, now() + 5ms, 1h)),
                  ResolveError::timed_out)
            << "every thread is busy";
    }
    const std::string localhost = "localhost";
    test::run(loop, resolve(localhost, now() + 1h));
    EXPECT_EQ(looked_up, 0);
}

TEST_F(Resolve, ThreadsOutliveTheLoopThatAsked)
{
    const HangingLookups hanging;
    {
        net::io_context other;
        test::error_of(other, resolve_with(hanging.lookup(0), host, now() + 5ms, 1h));
    }
}

// --- TCP

/// A listener on 127.0.0.x whose queue is full, so that it drops every SYN.
class SilentListener {
public:
    explicit SilentListener(const char* address, std::uint16_t port = 0)
    {
        acceptor_.open(tcp::v4());
        acceptor_.set_option(tcp::acceptor::reuse_address{true});
        acceptor_.bind({net::ip::make_address(address), port});
        acceptor_.listen(0);
        for (bool full = false; !full; full = !connects_soon(fillers_.back()))
            fillers_.emplace_back(loop_);
    }

    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

    /// The next SYN is answered again.
    void speak()
    {
        fillers_.pop_back(); // its SYN is still repeated by the kernel
        for (std::size_t i = 0; i < fillers_.size(); ++i)
            accepted_.push_back(acceptor_.accept());
        acceptor_.listen(16);
    }

private:
    bool connects_soon(tcp::socket& socket)
    {
        bool connected = false;
        socket.async_connect(acceptor_.local_endpoint(),
                             [&](boost::system::error_code failure) { connected = !failure; });
        loop_.restart();
        loop_.run_for(50ms);
        return connected;
    }

    net::io_context loop_;
    tcp::acceptor acceptor_{loop_};
    std::vector<tcp::socket> fillers_, accepted_;
};

/// A port that is taken, so that nobody else listens there, but refuses.
class RefusingPort {
public:
    explicit RefusingPort(const char* address, std::uint16_t port = 0)
    {
        socket_.open(tcp::v4());
        socket_.bind({net::ip::make_address(address), port});
    }

    [[nodiscard]] std::uint16_t port() const { return socket_.local_endpoint().port(); }

private:
    net::io_context loop_;
    tcp::socket socket_{loop_};
};

struct Dial : testing::Test {
    net::io_context loop;
    tcp::acceptor listener{loop, {net::ip::address_v4::loopback(), 0}};
    const std::uint16_t port = listener.local_endpoint().port();
};

TEST_F(Dial, ConnectsWithoutDelayOfSmallWrites)
{
    auto socket = test::run(loop, dial({ip("127.0.0.1")}, port, now() + 1h));
    EXPECT_EQ(socket.remote_endpoint().port(), port);
    tcp::no_delay option;
    socket.get_option(option);
    EXPECT_TRUE(option.value());
}

TEST_F(Dial, FindsAHostByName)
{
    const HostPort target{"localhost", port};
    EXPECT_TRUE(test::run(loop, dial(target, now() + 1h)).is_open());
}

TEST_F(Dial, GoesOnToTheNextAddressWhenOneRefuses)
{
    const RefusingPort refusing{"127.0.0.9", port};
    const DialPace slow{.attempt_delay = 1h};
    const auto socket =
        test::run(loop, dial({ip("127.0.0.9"), ip("127.0.0.1")}, port, now() + 1h, slow));
    EXPECT_EQ(socket.remote_endpoint().address(), net::ip::address_v4::loopback());
}

TEST_F(Dial, GoesOnToTheNextAddressWhenOneIsSilent)
{
    const SilentListener silent{"127.0.0.9", port};
    const auto socket = test::run(loop, dial({ip("127.0.0.9"), ip("127.0.0.1")}, port, now() + 1h));
    EXPECT_EQ(socket.remote_endpoint().address(), net::ip::address_v4::loopback());
}

TEST_F(Dial, ReportsARefusalAtOnce)
{
    const RefusingPort refusing{"127.0.0.1"};
    EXPECT_EQ(test::error_of(loop, dial({ip("127.0.0.1")}, refusing.port(), now() + 1h)),
              errc::connection_refused);
}

TEST_F(Dial, ReportsSilenceAtTheDeadline)
{
    const SilentListener silent{"127.0.0.1"};
    EXPECT_EQ(test::error_of(loop, dial({ip("127.0.0.1")}, silent.port(), now() + 20ms)),
              errc::timed_out);
}

TEST_F(Dial, PrefersTheRefusalInItsReport)
{
    const RefusingPort refusing{"127.0.0.1"};
    const SilentListener silent{"127.0.0.9", refusing.port()};
    for (const auto& order : {std::vector{ip("127.0.0.9"), ip("127.0.0.1")},
                              std::vector{ip("127.0.0.1"), ip("127.0.0.9")}}) {
        const DialPace quick{.attempt_delay = 5ms};
        EXPECT_EQ(test::error_of(loop, dial(order, silent.port(), now() + 50ms, quick)),
                  errc::connection_refused);
    }
}

TEST_F(Dial, SendsAFreshSynToASilentAddress)
{
    // The kernel repeats a SYN after a second at the earliest, which is after the deadline.
    SilentListener silent{"127.0.0.1"};
    net::steady_timer timer{loop, now() + 30ms};
    timer.async_wait([&](boost::system::error_code) { silent.speak(); });
    const DialPace quick{.fresh_attempt_after = 20ms};
    const auto socket =
        test::run(loop, dial({ip("127.0.0.1")}, silent.port(), now() + 900ms, quick));
    EXPECT_TRUE(socket.is_open());
}

TEST_F(Dial, LetsTheFamiliesTakeTurns)
{
    tcp::acceptor six{loop, tcp::v6()};
    six.set_option(net::ip::v6_only{true});
    boost::system::error_code no_ipv6;
    six.bind({net::ip::address_v6::loopback(), port}, no_ipv6);
    if (no_ipv6)
        GTEST_SKIP() << "no IPv6 here";
    six.listen();
    const RefusingPort refusing{"127.0.0.9", port};
    const SilentListener silent{"127.0.0.8", port};
    const DialPace slow{.attempt_delay = 1h};
    const std::vector addresses{ip("127.0.0.9"), ip("127.0.0.8"), ip("::1")};
    const auto socket = test::run(loop, dial(addresses, port, now() + 1h, slow));
    EXPECT_TRUE(socket.remote_endpoint().address().is_v6());
}

std::ptrdiff_t count_descriptors()
{
    const std::filesystem::directory_iterator descriptors{"/proc/self/fd"};
    return std::distance(begin(descriptors), end(descriptors));
}

TEST_F(Dial, HasAtMostFourAttemptsToOneAddressUnderWay)
{
    const SilentListener silent{"127.0.0.9"};
    const DialPace quick{.fresh_attempt_after = 1ms};
    const auto before = count_descriptors();
    std::ptrdiff_t most = 0;
    net::steady_timer timer{loop, now() + 40ms};
    timer.async_wait([&](boost::system::error_code) { most = count_descriptors() - before; });
    test::error_of(loop, dial({ip("127.0.0.9")}, silent.port(), now() + 60ms, quick));
    EXPECT_GE(most, 1);
    EXPECT_LE(most, 5) << "the oldest may be about to go";
}

TEST_F(Dial, LeavesNoDescriptorBehind)
{
    const SilentListener silent{"127.0.0.9", port};
    const auto before = count_descriptors();
    const DialPace quick{.attempt_delay = 1ms, .fresh_attempt_after = 1ms};
    {
        const auto socket =
            test::run(loop, dial({ip("127.0.0.9"), ip("127.0.0.1")}, port, now() + 1h, quick));
        EXPECT_EQ(count_descriptors(), before + 1);
    }
    test::error_of(loop, dial({ip("127.0.0.9")}, port, now() + 20ms, quick));
    EXPECT_EQ(count_descriptors(), before);
}

TEST_F(Dial, EndsWhenItsCallerIsCancelled)
{
    const SilentListener silent{"127.0.0.1"};
    auto dialling = dial({ip("127.0.0.1")}, silent.port(), now() + 1h);
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, std::move(dialling))),
              errc::timed_out);
}

TEST_F(Dial, HasNothingToDialWithoutAddresses)
{
    EXPECT_EQ(test::error_of(loop, dial({}, 1, now() + 1h)), ResolveError::no_such_name);
}

// --- UDP

TEST_F(Dial, ConnectsAUdpSocketToTheFirstAddressWithARoute)
{
    // 255.255.255.255 needs SO_BROADCAST, so connect(2) refuses it.
    const auto socket = test::run(loop, dial_udp({ip("255.255.255.255"), ip("127.0.0.1")}, 5'353));
    EXPECT_EQ(socket.remote_endpoint().address(), net::ip::address_v4::loopback());
    EXPECT_EQ(socket.remote_endpoint().port(), 5'353);
}

TEST_F(Dial, ReportsAUdpTargetWithoutRoute)
{
    EXPECT_TRUE(test::error_of(loop, dial_udp({ip("255.255.255.255")}, 1)).failed());
}

} // namespace
} // namespace narrowlink::io

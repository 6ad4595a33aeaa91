#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/udp_socket.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "base_loop.hpp"
#include "network_namespace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
namespace errc = boost::system::errc;

/// Only a defect takes so long.
constexpr Duration patience = 20s;

const IpAddress loopback_v4 = IpAddress::parse("127.0.0.1").value();
const IpAddress loopback_v6 = IpAddress::parse("::1").value();

IpAddress ip(std::string_view text)
{
    return IpAddress::parse(text).value();
}

using Block = std::vector<std::byte>;

/// Bytes that differ from segment to segment.
Block make_train(std::size_t size)
{
    Block train(size);
    for (std::size_t i = 0; i < size; ++i)
        train[i] = static_cast<std::byte>(i % 251 ^ i / 251);
    return train;
}

struct Datagram {
    SocketAddress from;
    IpAddress to;
    Block bytes;
    int ttl = 0;
    int ecn = 0;
};

struct Mail {
    std::size_t arrivals = 0;
    std::vector<Datagram> datagrams{};

    [[nodiscard]] Block concatenated() const
    {
        Block all;
        for (const Datagram& datagram : datagrams)
            all.insert(all.end(), datagram.bytes.begin(), datagram.bytes.end());
        return all;
    }
};

net::awaitable<Mail> collect(UdpSocket& socket, std::size_t count)
{
    Mail mail;
    while (mail.datagrams.size() < count) {
        auto receiving = socket.receive();
        const auto arrivals = co_await std::move(receiving);
        mail.arrivals += arrivals.size();
        for (const UdpSocket::Arrival& arrival : arrivals)
            for (Bytes rest = arrival.train; !rest.empty();) {
                const Bytes next = rest.first(std::min(arrival.segment_size, rest.size()));
                mail.datagrams.push_back({.from = arrival.from,
                                          .to = arrival.to,
                                          .bytes = {next.begin(), next.end()},
                                          .ttl = arrival.ttl,
                                          .ecn = arrival.ecn});
                rest = rest.subspan(next.size());
            }
    }
    co_return mail;
}

/// The number of the socket bound to `address`, for what UdpSocket has no business to offer.
int descriptor_of(const SocketAddress& address)
{
    for (int descriptor = 0; descriptor < 1024; ++descriptor) {
        udp::endpoint endpoint;
        auto size = static_cast<socklen_t>(endpoint.capacity());
        int type = 0;
        socklen_t type_size = sizeof type;
        if (::getsockname(descriptor, endpoint.data(), &size) == 0 &&
            ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 &&
            type == SOCK_DGRAM && from_asio(endpoint) == address)
            return descriptor;
    }
    throw std::runtime_error{"no socket is bound to " + to_string(address)};
}

void set_option(const UdpSocket& socket, int level, int name, int value)
{
    const int descriptor = descriptor_of(socket.local_address());
    ASSERT_EQ(::setsockopt(descriptor, level, name, &value, sizeof value), 0);
}

struct Loop {
    UdpSocket open(const IpAddress& address, const UdpSocket::Options& options = {})
    {
        return UdpSocket::open(loop.get_executor(), {address, 0}, options);
    }

    template <class T>
    T wait_for(net::awaitable<T> task)
    {
        return test::run(loop, with_deadline(now() + patience, std::move(task)));
    }

    Mail receive(UdpSocket& socket, std::size_t count) { return wait_for(collect(socket, count)); }

    net::io_context loop{1};
};

// --- both families, with and without offload on either side

struct Setup {
    const char* name;
    IpAddress address;
    bool sender_offload;
    bool receiver_offload;
};

struct UdpSocketPair : testing::TestWithParam<Setup>, Loop {
    void SetUp() override
    {
        try {
            open(address);
        } catch (const boost::system::system_error& error) {
            GTEST_SKIP() << "no " << to_string(address) << " here: " << error.what();
        }
        sender.emplace(open(address, {.offload = GetParam().sender_offload}));
        receiver.emplace(open(address, {.offload = GetParam().receiver_offload}));
    }

    void send(Bytes train, std::size_t segment_size, const UdpSocket::SendOptions& options = {})
    {
        ASSERT_EQ(sender->try_send(receiver->local_address(), train, segment_size, options),
                  train.size())
            << "nothing queues up before a loopback interface";
        EXPECT_EQ(sender->lost_sends(), 0u);
    }

    const IpAddress address = GetParam().address;
    std::optional<UdpSocket> sender;
    std::optional<UdpSocket> receiver;
};

TEST_P(UdpSocketPair, KnowsItsAddress)
{
    EXPECT_EQ(sender->local_address().ip, address);
    EXPECT_NE(sender->local_address().port, 0);
    EXPECT_EQ(sender->has_segmentation_offload(), GetParam().sender_offload);
}

struct Shape {
    std::size_t bytes;
    std::size_t segment_size;
};

TEST_P(UdpSocketPair, TrainsArriveAsTheyWereSent)
{
    for (const Shape shape : {Shape{1, 1},
                              {1'200, 1'200},
                              {100, 1'200}, // shorter than a segment
                              {2 * 1'200, 1'200},
                              {64 * 1'000, 1'000}, // the most segments of a call
                              {65 * 1'000, 1'000},
                              {64 * 1'452, 1'452}, // more bytes than a call takes
                              {63 * 1'040, 1'040}, // only just more
                              {130 * 1'452 + 7, 1'452},
                              {65'487, 32'000}, // bytes a call takes with IPv6
                              {3 * 32'753, 32'753},
                              {100, 1},
                              {65'487, 65'487},
                              {1, static_cast<std::size_t>(-1)}}) {
        SCOPED_TRACE(testing::Message() << shape.bytes << " by " << shape.segment_size);
        const Block train = make_train(shape.bytes);
        send(train, shape.segment_size);
        const std::size_t count = (shape.bytes - 1) / shape.segment_size + 1;
        const Mail mail = receive(*receiver, count);

        ASSERT_EQ(mail.datagrams.size(), count);
        EXPECT_TRUE(mail.concatenated() == train);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t rest = shape.bytes - i * shape.segment_size;
            EXPECT_EQ(mail.datagrams[i].bytes.size(), std::min(rest, shape.segment_size)) << i;
        }
        if (!GetParam().receiver_offload) {
            EXPECT_EQ(mail.arrivals, count) << "one arrival each without GRO";
        } else if (GetParam().sender_offload && count > 1 && shape.segment_size < 32'000) {
            EXPECT_LT(mail.arrivals, count) << "offload is not used";
            EXPECT_LE(mail.arrivals, 2 + shape.bytes / 30'000) << "nor for all of it";
        }
    }
}

TEST_P(UdpSocketPair, ManyDatagramsArriveInOrder)
{
    constexpr std::size_t total = 2'000, at_once = 50, segment_size = 300;
    for (std::size_t first = 0; first < total; first += at_once) { // fits every receive buffer
        Block train(at_once * segment_size);
        for (std::size_t i = 0; i < at_once; ++i) {
            const std::size_t sequence = first + i;
            std::memcpy(train.data() + i * segment_size, &sequence, sizeof sequence);
        }
        send(train, segment_size);
        const Mail mail = receive(*receiver, at_once);
        ASSERT_EQ(mail.datagrams.size(), at_once);
        for (std::size_t i = 0; i < at_once; ++i) {
            std::size_t sequence = 0;
            std::memcpy(&sequence, mail.datagrams[i].bytes.data(), sizeof sequence);
            ASSERT_EQ(sequence, first + i);
        }
    }
}

TEST_P(UdpSocketPair, EveryArrivalTellsItsAddresses)
{
    send(make_train(5'000), 1'000);
    for (const Datagram& datagram : receive(*receiver, 5).datagrams) {
        EXPECT_EQ(datagram.from, sender->local_address());
        EXPECT_EQ(datagram.to, address);
    }
}

TEST_P(UdpSocketPair, TtlAndEcnTravelWithTheCallTheyWereGivenTo)
{
    struct Case {
        std::uint8_t ttl;
        std::uint8_t ecn;
    };

    for (const Case given : {Case{0, 0}, {1, 0}, {5, 1}, {255, 2}, {0, 3}, {0, 0}}) {
        send(make_train(2'500), 1'000, {.ttl = given.ttl, .ecn = given.ecn});
        const Mail mail = receive(*receiver, 3);
        ASSERT_EQ(mail.datagrams.size(), 3u);
        for (const Datagram& datagram : mail.datagrams) {
            if (given.ttl == 0)
                EXPECT_GE(datagram.ttl, 32) << "the default";
            else
                EXPECT_EQ(datagram.ttl, given.ttl);
            EXPECT_EQ(datagram.ecn, given.ecn);
        }
    }
}

TEST_P(UdpSocketPair, NothingBesideEcnGoesIntoTheTrafficClass)
{
    send(make_train(10), 10, {.ecn = 0xfe});
    EXPECT_EQ(receive(*receiver, 1).datagrams.at(0).ecn, 2);
}

TEST_P(UdpSocketPair, ANewReceiveTakesWhatTheLastLeft)
{
    UdpSocket narrow =
        open(address, {.offload = GetParam().receiver_offload, .arrivals_per_call = 3});
    for (int i = 0; i < 10; ++i) {
        const Block one(10, static_cast<std::byte>(i));
        ASSERT_EQ(sender->try_send(narrow.local_address(), one, 10), 10u);
    }
    for (std::size_t begin : {0u, 3u, 6u, 9u}) {
        const auto arrivals = wait_for(narrow.receive());
        ASSERT_EQ(arrivals.size(), begin == 9 ? 1u : 3u);
        for (std::size_t i = 0; i < arrivals.size(); ++i)
            EXPECT_EQ(arrivals[i].train[0], static_cast<std::byte>(begin + i));
    }
}

TEST_P(UdpSocketPair, WhatIsEmptyOrTooLongIsDropped)
{
    UdpSocket small = open(address, {.offload = GetParam().receiver_offload, .longest_train = 500});
    udp::socket plain{loop, address.is_v4() ? udp::v4() : udp::v6()};
    plain.send_to(net::buffer("", 0), to_udp_endpoint(small.local_address()));
    for (const std::size_t size : {501u, 500u, 60'000u, 499u}) {
        const Block one = make_train(size);
        ASSERT_EQ(sender->try_send(small.local_address(), one, size), size);
    }
    const Mail mail = receive(small, 2);
    ASSERT_EQ(mail.datagrams.size(), 2u);
    EXPECT_EQ(mail.datagrams[0].bytes, make_train(500));
    EXPECT_EQ(mail.datagrams[1].bytes, make_train(499));
}

TEST_P(UdpSocketPair, ATrainIsNotCutForASmallReceiver)
{
    UdpSocket small = open(address, {.offload = true, .longest_train = 2'048});
    const Block train = make_train(64 * 1'000);
    ASSERT_EQ(sender->try_send(small.local_address(), train, 1'000), train.size());
    EXPECT_TRUE(receive(small, 64).concatenated() == train);
}

TEST_P(UdpSocketPair, IcmpErrorsDoNotShow)
{
    SocketAddress closed;
    {
        closed = open(address).local_address();
    }
    for (const bool reported : {false, true}) { // even if the kernel reported them to us
        set_option(*sender, address.is_v4() ? IPPROTO_IP : IPPROTO_IPV6,
                   address.is_v4() ? IP_RECVERR : IPV6_RECVERR, reported);
        const Block train = make_train(10);
        ASSERT_EQ(sender->try_send(closed, train, 10), 10u);
        ASSERT_EQ(receiver->try_send(sender->local_address(), train, 10), 10u);
        EXPECT_EQ(receive(*sender, 1).concatenated(), train);
    }
    EXPECT_EQ(sender->lost_sends(), 0u) << "it did leave";
}

TEST_P(UdpSocketPair, WhatIsTooLongIsLostAndCounted)
{
    // Beyond any datagram, not only beyond any packet: 65,508 bytes fit the loopback's 65,536,
    // and what the kernel then says of a length that IPv4 cannot write down has varied.
    const std::size_t too_long = 65'536;
    const Block train = make_train(2 * too_long + 10);
    EXPECT_EQ(sender->try_send(receiver->local_address(), train, too_long), train.size());
    EXPECT_EQ(sender->lost_sends(), 2u);
    EXPECT_EQ(receive(*receiver, 1).datagrams.at(0).bytes.size(), 10u) << "the short last one";
}

TEST_P(UdpSocketPair, TheOtherFamilyIsOutOfReach)
{
    const Block train = make_train(25);
    const IpAddress other = address.is_v4() ? loopback_v6 : loopback_v4;
    EXPECT_EQ(sender->try_send({other, 9}, train, 10), train.size());
    EXPECT_EQ(sender->lost_sends(), 3u);
    EXPECT_EQ(sender->try_send(receiver->local_address(), train, 10, {.from = other}), 25u);
    EXPECT_EQ(sender->lost_sends(), 6u);
}

TEST_P(UdpSocketPair, AForeignSourceAddressLosesTheTrain)
{
    const Block train = make_train(25);
    const IpAddress foreign = ip(address.is_v4() ? "198.51.100.1" : "2001:db8::1");
    EXPECT_EQ(sender->try_send(receiver->local_address(), train, 10, {.from = foreign}), 25u);
    EXPECT_EQ(sender->lost_sends(), 3u);
}

TEST_P(UdpSocketPair, AnEmptyTrainIsNothing)
{
    EXPECT_EQ(sender->try_send(receiver->local_address(), {}, 10), 0u);
    send(make_train(1), 1);
    EXPECT_EQ(receive(*receiver, 1).datagrams.at(0).bytes.size(), 1u);
}

/// SO_NO_CHECK rules segmentation out, but not single datagrams.
TEST_P(UdpSocketPair, ATrainThatCannotBeSegmentedGoesSingly)
{
    set_option(*sender, SOL_SOCKET, SO_NO_CHECK, 1);
    if (!address.is_v4())
        set_option(*receiver, IPPROTO_UDP, 102, 1); // UDP_NO_CHECK6_RX of <linux/udp.h>
    const Block train = make_train(70 * 1'000 + 1);
    send(train, 1'000);
    EXPECT_TRUE(receive(*receiver, 71).concatenated() == train);
    EXPECT_EQ(sender->has_segmentation_offload(), GetParam().sender_offload);
}

TEST_P(UdpSocketPair, WritableReturnsWhenThereIsRoom)
{
    wait_for(sender->writable());
    send(make_train(1), 1);
    wait_for(sender->writable());
}

const Setup setups[] = {{"V4", loopback_v4, true, true},
                        {"V4SenderWithout", loopback_v4, false, true},
                        {"V4ReceiverWithout", loopback_v4, true, false},
                        {"V4Without", loopback_v4, false, false},
                        {"V6", loopback_v6, true, true},
                        {"V6SenderWithout", loopback_v6, false, true},
                        {"V6ReceiverWithout", loopback_v6, true, false},
                        {"V6Without", loopback_v6, false, false}};

INSTANTIATE_TEST_SUITE_P(UdpSocket, UdpSocketPair, testing::ValuesIn(setups),
                         [](const auto& setup) { return setup.param.name; });

// --- one socket

struct UdpSocketTest : testing::Test, Loop {};

TEST_F(UdpSocketTest, TheSourceAddressCanBeChosen)
{
    UdpSocket everywhere = open(ip("0.0.0.0"));
    UdpSocket receiver = open(loopback_v4);
    for (const char* source : {"127.0.0.2", "127.0.0.3"}) {
        const Block train = make_train(3'000);
        ASSERT_EQ(everywhere.try_send(receiver.local_address(), train, 1'000, {.from = ip(source)}),
                  train.size());
        for (const Datagram& datagram : receive(receiver, 3).datagrams)
            EXPECT_EQ(datagram.from, (SocketAddress{ip(source), everywhere.local_address().port}));
    }
    EXPECT_EQ(everywhere.lost_sends(), 0u);
}

TEST_F(UdpSocketTest, ASocketBoundToNoAddressLearnsWhichOneWasMeant)
{
    UdpSocket everywhere = open(ip("0.0.0.0"));
    UdpSocket sender = open(loopback_v4);
    for (const char* destination : {"127.0.0.2", "127.0.0.3"}) {
        const SocketAddress to{ip(destination), everywhere.local_address().port};
        const Block train = make_train(10);
        ASSERT_EQ(sender.try_send(to, train, 10), 10u);
        EXPECT_EQ(receive(everywhere, 1).datagrams.at(0).to, to.ip);
    }
}

TEST_F(UdpSocketTest, BothFamiliesShareAPort)
{
    const UdpSocket v6 = open(ip("::"));
    const SocketAddress same{ip("0.0.0.0"), v6.local_address().port};
    EXPECT_EQ(UdpSocket::open(loop.get_executor(), same).local_address(), same);
}

TEST_F(UdpSocketTest, OpenTellsWhyItFailed)
{
    const UdpSocket first = open(loopback_v4);
    const auto failure_of = [&](const SocketAddress& local) {
        try {
            UdpSocket::open(loop.get_executor(), local);
        } catch (const boost::system::system_error& error) {
            return error.code();
        }
        return ErrorCode{};
    };
    EXPECT_EQ(failure_of(first.local_address()), errc::address_in_use);
    EXPECT_EQ(failure_of({ip("198.51.100.1"), 0}), errc::address_not_available);
}

TEST_F(UdpSocketTest, CancellingAReceiveLosesNothing)
{
    UdpSocket socket = open(loopback_v4);
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 1ms, socket.receive())), errc::timed_out);
    const Block train = make_train(10);
    ASSERT_EQ(socket.try_send(socket.local_address(), train, 10), 10u);
    EXPECT_EQ(receive(socket, 1).concatenated(), train);
}

/// The code a receive() ended with, once it has.
struct Ending {
    std::optional<ErrorCode> code;
    std::size_t arrivals = 0;
};

net::awaitable<void> receive_once(UdpSocket& socket, Ending& ending)
{
    ErrorCode code;
    try {
        auto receiving = socket.receive();
        const auto arrivals = co_await std::move(receiving);
        ending.arrivals = arrivals.size();
    } catch (const boost::system::system_error& error) {
        code = error.code();
    }
    ending.code = code;
}

TEST_F(UdpSocketTest, ACancelledReceiveIsAborted)
{
    UdpSocket socket = open(loopback_v4);
    Ending ending;
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 1ms, receive_once(socket, ending))),
              errc::timed_out);
    EXPECT_EQ(ending.code, net::error::operation_aborted);
}

TEST_F(UdpSocketTest, ClosingEndsAReceive)
{
    std::optional<UdpSocket> socket = open(loopback_v4);
    Ending ending;
    net::co_spawn(loop, receive_once(*socket, ending), [](const std::exception_ptr&) {});
    loop.poll();
    ASSERT_FALSE(ending.code);
    socket.reset();
    loop.run_for(patience);
    EXPECT_EQ(ending.code, net::error::operation_aborted);
}

TEST_F(UdpSocketTest, MovesUnderAReceive)
{
    std::optional<UdpSocket> before = open(loopback_v4);
    Ending ending;
    net::co_spawn(loop, receive_once(*before, ending), [](const std::exception_ptr&) {});
    loop.poll();
    UdpSocket after = std::move(*before);
    before.reset();
    const Block train = make_train(10);
    ASSERT_EQ(after.try_send(after.local_address(), train, 10), 10u);
    loop.run_for(patience);
    EXPECT_EQ(ending.code, ErrorCode{});
    EXPECT_EQ(ending.arrivals, 1u);
}

// --- what the kernel may answer

struct UdpSocketRefusal : UdpSocketTest {
    UdpSocket sender = open(loopback_v4);
    UdpSocket receiver = open(loopback_v4);
    Block train = make_train(100 * 1'000);

    std::size_t send_while_failing(long system_call, int error)
    {
        std::size_t taken = 0;
        test::on_thread([&] {
            test::fail_system_call(system_call, error);
            taken = sender.try_send(receiver.local_address(), train, 1'000);
        });
        return taken;
    }
};

TEST_F(UdpSocketRefusal, AnInterfaceWithoutSegmentationIsRemembered)
{
    ASSERT_TRUE(sender.has_segmentation_offload());
    EXPECT_EQ(send_while_failing(SYS_sendmsg, EIO), train.size());
    EXPECT_FALSE(sender.has_segmentation_offload());
    EXPECT_EQ(sender.lost_sends(), 0u);
    EXPECT_TRUE(receive(receiver, 100).concatenated() == train);
}

TEST_F(UdpSocketRefusal, ATrainThatIsRefusedGoesSingly)
{
    for (const int error : {EINVAL, EMSGSIZE}) {
        EXPECT_EQ(send_while_failing(SYS_sendmsg, error), train.size());
        EXPECT_TRUE(sender.has_segmentation_offload());
        EXPECT_TRUE(receive(receiver, 100).concatenated() == train);
    }
    EXPECT_EQ(sender.lost_sends(), 0u);
}

TEST_F(UdpSocketRefusal, AFullBufferIsReported)
{
    for (const int error : {EAGAIN, ENOBUFS})
        EXPECT_EQ(send_while_failing(SYS_sendmsg, error), 0u);
    sender = open(loopback_v4, {.offload = false});
    for (const int error : {EAGAIN, ENOBUFS})
        EXPECT_EQ(send_while_failing(SYS_sendmmsg, error), 0u);
    EXPECT_EQ(sender.lost_sends(), 0u);
}

TEST_F(UdpSocketRefusal, AnyOtherErrorLosesTheTrain)
{
    EXPECT_EQ(send_while_failing(SYS_sendmsg, EPERM), train.size());
    EXPECT_EQ(sender.lost_sends(), 100u);
    sender = open(loopback_v4, {.offload = false});
    EXPECT_EQ(send_while_failing(SYS_sendmmsg, ENETUNREACH), train.size());
    EXPECT_EQ(sender.lost_sends(), 100u);
}

TEST_F(UdpSocketRefusal, OnlyADefectEndsAReceive)
{
    const std::byte one{};
    ASSERT_EQ(sender.try_send(receiver.local_address(), {&one, 1}, 1), 1u);
    test::on_thread([&] {
        test::fail_system_call(SYS_recvmmsg, EFAULT);
        EXPECT_EQ(test::error_of(loop, with_deadline(now() + patience, receiver.receive())),
                  errc::bad_address);
    });
    for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EACCES, EPROTO})
        test::on_thread([&] {
            test::fail_system_call(SYS_recvmmsg, error);
            EXPECT_EQ(test::error_of(loop, with_deadline(now() + 1ms, receiver.receive())),
                      errc::timed_out);
        });
    EXPECT_EQ(receive(receiver, 1).datagrams.size(), 1u);
}

// --- networks of our own

const IpAddress neighbour = IpAddress::parse("192.0.2.2").value();

Block udp_payload(const Block& packet)
{
    constexpr std::ptrdiff_t headers = 20 + 8;
    EXPECT_EQ(packet.at(9), std::byte{IPPROTO_UDP});
    return {packet.begin() + headers, packet.end()};
}

/// Sends more than the kernel's buffer holds to a neighbour whose Ethernet address is not known
/// yet.
void fill_the_buffer(bool offload)
{
    test::Tap tap;
    Loop loop;
    UdpSocket socket = loop.open(ip("192.0.2.1"), {.offload = offload});
    set_option(socket, SOL_SOCKET, SO_SNDBUF, 64 * 1'024);
    const SocketAddress to{neighbour, 4'433};
    const Block train = make_train(200 * 1'000 + 1);

    const std::size_t taken = socket.try_send(to, train, 1'000);
    ASSERT_GT(taken, 0u);
    ASSERT_LT(taken, train.size());
    EXPECT_EQ(taken % 1'000, 0u);
    EXPECT_EQ(socket.lost_sends(), 0u);
    EXPECT_EQ(socket.try_send(to, train, 1'000), 0u) << "still full";
    EXPECT_EQ(test::error_of(loop.loop, with_deadline(now() + 1ms, socket.writable())),
              errc::timed_out);

    tap.announce(neighbour);
    loop.wait_for(socket.writable());
    Block left;
    while (const auto packet = tap.next_packet()) {
        EXPECT_EQ(packet->at(6) & std::byte{0x40}, std::byte{0x40}) << "DF, RFC 791 §3.1";
        const Block payload = udp_payload(*packet);
        left.insert(left.end(), payload.begin(), payload.end());
    }
    EXPECT_TRUE(left == Block(train.begin(), train.begin() + static_cast<std::ptrdiff_t>(taken)));
    EXPECT_GT(socket.try_send(to, train, 1'000), 0u);
    EXPECT_EQ(socket.lost_sends(), 0u);
}

TEST(UdpSocketNetwork, AFullBufferIsReportedAndWritableWaitsForRoom)
{
    for (const bool offload : {true, false})
        if (!test::in_network_namespace([&] { fill_the_buffer(offload); }))
            GTEST_SKIP() << "needs root";
}

void exceed_the_mtu(bool offload)
{
    test::Tap tap;
    tap.announce(neighbour);
    test::set_mtu(test::tap_name, 1'400);
    Loop loop;
    UdpSocket socket = loop.open(ip("192.0.2.1"), {.offload = offload});
    const Block train = make_train(5 * 1'373 + 100);
    EXPECT_EQ(socket.try_send({neighbour, 4'433}, train, 1'373), train.size());
    EXPECT_EQ(socket.lost_sends(), 5u);
    const auto last = tap.next_packet();
    ASSERT_TRUE(last) << "fits";
    EXPECT_EQ(udp_payload(*last).size(), 100u);
    EXPECT_FALSE(tap.next_packet());

    EXPECT_EQ(socket.try_send({neighbour, 4'433}, train, 1'372), train.size());
    for (int i = 0; i < 6; ++i)
        EXPECT_TRUE(tap.next_packet()) << i;
    EXPECT_EQ(socket.lost_sends(), 5u);
    EXPECT_EQ(socket.has_segmentation_offload(), offload);
}

TEST(UdpSocketNetwork, OnlyWhatExceedsTheInterfacesMtuIsLost)
{
    for (const bool offload : {true, false})
        if (!test::in_network_namespace([&] { exceed_the_mtu(offload); }))
            GTEST_SKIP() << "needs root";
}

TEST(UdpSocketNetwork, WithoutARouteEverythingIsLost)
{
    const auto body = [] {
        Loop loop;
        for (const bool offload : {true, false}) {
            UdpSocket socket = loop.open(ip("0.0.0.0"), {.offload = offload});
            const Block train = make_train(100 * 1'000);
            EXPECT_EQ(socket.try_send({neighbour, 4'433}, train, 1'000), train.size());
            EXPECT_EQ(socket.lost_sends(), 100u);
        }
    };
    if (!test::in_network_namespace(body))
        GTEST_SKIP() << "needs root";
}

/// A fresh IPv6 address is tentative (RFC 4862 §5.4) until the kernel has come round to it.
void wait_until_usable(const IpAddress& address)
{
    net::io_context loop;
    const Instant deadline = now() + patience;
    for (;;) {
        try {
            UdpSocket::open(loop.get_executor(), {address, 0});
            return;
        } catch (const boost::system::system_error&) {
            if (now() > deadline)
                throw;
            std::this_thread::sleep_for(1ms);
        }
    }
}

TEST(UdpSocketNetwork, TheIpv6SourceAddressCanBeChosen)
{
    const auto body = [] {
        test::set_up("lo");
        test::add_address("lo", ip("fd00::1"), 128);
        test::add_address("lo", ip("fd00::2"), 128);
        wait_until_usable(ip("fd00::1"));
        wait_until_usable(ip("fd00::2"));
        Loop loop;
        UdpSocket everywhere = loop.open(ip("::"));
        UdpSocket receiver = loop.open(ip("::"));
        for (const char* source : {"fd00::1", "fd00::2"}) {
            const SocketAddress to{ip("fd00::1"), receiver.local_address().port};
            const Block train = make_train(3'000);
            ASSERT_EQ(everywhere.try_send(to, train, 1'000, {.from = ip(source)}), train.size());
            ASSERT_EQ(everywhere.lost_sends(), 0u);
            const Mail mail = loop.receive(receiver, 3);
            EXPECT_EQ(mail.datagrams.at(0).from.ip, ip(source));
            EXPECT_EQ(mail.datagrams.at(0).to, to.ip);
        }
    };
    if (!test::in_network_namespace(body))
        GTEST_SKIP() << "needs root";
}

} // namespace
} // namespace narrowlink::io

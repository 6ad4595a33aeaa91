#include "two_ends.hpp"

#include <gtest/gtest.h>

namespace narrowlink::quic::test {
namespace {

using std::chrono::seconds;

const Request ssh{Request::Kind::tcp, {"localhost", 22}};

std::byte pattern(std::uint64_t offset)
{
    return static_cast<std::byte>(offset * 2'654'435'761U >> 13);
}

void send_some(Connection& from, StreamId id, std::uint64_t& sent, std::uint64_t total)
{
    while (sent < total && from.send_space(id) > 0) {
        MutableBytes block = from.send_block(id);
        const std::size_t n = std::min<std::uint64_t>({block.size(), total - sent, from.send_space(id)});
        for (std::size_t i = 0; i < n; ++i)
            block[i] = pattern(sent + i);
        from.send_committed(id, n);
        sent += n;
    }
}

void receive_some(Connection& at, StreamId id, std::uint64_t& received, bool& intact)
{
    std::array<Bytes, 16> spans;
    while (const std::size_t count = at.received(id, spans)) {
        std::size_t n = 0;
        for (const Bytes span : std::span{spans}.first(count))
            for (const std::byte b : span)
                intact = intact && b == pattern(received + n++);
        at.consume(id, n);
        received += n;
    }
}

StreamId open_tunnel(TwoEnds& ends, const Request& request = ssh)
{
    const StreamId id = *ends.client.open(request);
    EXPECT_TRUE(ends.run([&] { return TwoEnds::find<RequestReceived>(ends.server_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<RequestReceived>(ends.server_events)->request, request);
    ends.server.respond(id, {});
    EXPECT_TRUE(ends.run([&] { return TwoEnds::find<ResponseReceived>(ends.client_events) != nullptr; }));
    return id;
}

} // namespace

TEST(Connection, BothEndsAuthenticateEachOtherByPin)
{
    TwoEnds ends;
    EXPECT_TRUE(ends.connect());
}

TEST(Connection, AClientLeavesAnAgentWithAnotherKey)
{
    TwoEnds ends;
    ends.client = *Connection::client({}, {*Credentials::load(ends.client_identity), ends.client_identity.pin}, ends.now, ends.random);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<Closed>(ends.client_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<Closed>(ends.client_events)->reason, Error::wrong_peer);
    EXPECT_EQ(TwoEnds::find<Connected>(ends.client_events), nullptr);
}

TEST(Connection, AnAgentRefusesAClientWithAnotherKey)
{
    TwoEnds ends;
    ends.server = Connection::server({}, {*Credentials::load(ends.server_identity), ends.server_identity.pin}, ends.now, ends.random);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<Closed>(ends.client_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<Closed>(ends.client_events)->reason, Error::rejected_by_peer);
    EXPECT_EQ(TwoEnds::find<Connected>(ends.server_events), nullptr);
    EXPECT_EQ(TwoEnds::find<Closed>(ends.server_events)->reason, Error::wrong_peer);
}

TEST(Connection, CarriesEveryByteBothWaysUnderLoss)
{
    for (const std::uint64_t loss : {0U, 50U}) {
        SCOPED_TRACE(loss);
        TwoEnds ends{7};
        ASSERT_TRUE(ends.connect());
        const StreamId id = open_tunnel(ends);
        ends.loss_per_mille = loss;
        constexpr std::uint64_t total = 8'000'000;
        std::uint64_t up_sent = 0, up_received = 0, down_sent = 0, down_received = 0;
        bool intact = true;
        EXPECT_TRUE(ends.run([&] {
            send_some(ends.client, id, up_sent, total);
            send_some(ends.server, id, down_sent, total);
            receive_some(ends.server, id, up_received, intact);
            receive_some(ends.client, id, down_received, intact);
            return up_received == total && down_received == total;
        }, seconds{600}));
        EXPECT_TRUE(intact);
    }
}

TEST(Connection, HalfCloseLeavesTheOtherDirectionOpen)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends);
    ends.client.shutdown_send(id);
    ASSERT_TRUE(ends.run([&] { return ends.server.receive_ended(id); }));

    std::uint64_t sent = 0, received = 0;
    bool intact = true;
    constexpr std::uint64_t total = 500'000;
    ASSERT_TRUE(ends.run([&] {
        send_some(ends.server, id, sent, total);
        receive_some(ends.client, id, received, intact);
        return received == total;
    }));
    EXPECT_TRUE(intact);
    EXPECT_FALSE(ends.client.receive_ended(id));
    ends.server.shutdown_send(id);
    EXPECT_TRUE(ends.run([&] { return ends.client.receive_ended(id); }));
    EXPECT_EQ(TwoEnds::find<StreamReset>(ends.client_events), nullptr);
    EXPECT_EQ(TwoEnds::find<StreamReset>(ends.server_events), nullptr);
}

TEST(Connection, AResetReachesTheOtherEnd)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends);
    ends.server.reset(id, h3_connect_error);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<StreamReset>(ends.client_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<StreamReset>(ends.client_events)->code, h3_connect_error);
}

// The client cannot send RESET_STREAM any more, and the agent has nothing to send that STOP_SENDING
// would keep it from.
TEST(Connection, AResetAfterAHalfCloseReachesAnEndThatIsIdle)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends);
    ends.client.shutdown_send(id);
    ASSERT_TRUE(ends.run([&] { return ends.server.receive_ended(id); }));
    ends.run([] { return false; }, seconds{1}); // the end is acknowledged
    ends.client.reset(id, h3_connect_error);
    EXPECT_TRUE(ends.run([&] { return TwoEnds::find<StreamReset>(ends.server_events) != nullptr; }));
}

// ngtcp2 stops its timer when everything in flight has been acknowledged in other packets, and still
// counts those as in flight.
TEST(Connection, ProbesThatGotLostDoNotFillTheCongestionWindowForEver)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends);
    ends.run([] { return false; }, seconds{1});
    std::uint64_t sent = 0, received = 0;
    bool intact = true;
    ends.delay = seconds{1};
    send_some(ends.server, id, sent, 22'000);
    ASSERT_TRUE(ends.run([] { return true; }));
    ends.loss_per_mille = 1'000;
    ASSERT_TRUE(ends.run([&] {
        receive_some(ends.client, id, received, intact);
        if (received > 0)
            ends.loss_per_mille = 0;
        return received == sent;
    }));
    ends.delay = std::chrono::milliseconds{10};
    ends.run([] { return false; }, seconds{2});
    send_some(ends.server, id, sent, 50'000);
    EXPECT_TRUE(ends.run([&] {
        receive_some(ends.client, id, received, intact);
        return received == sent;
    }));
    EXPECT_TRUE(intact);
}

// Both ends have sent what a slow path allows for seconds.
TEST(Connection, APathThatIsTakenUpAnewIsNotPacedByWhatWentBefore)
{
    for (const bool from_client : {true, false}) {
        TwoEnds ends;
        ends.mtu = 1'200;
        ends.paced = true;
        ends.delay = seconds{4};
        ASSERT_TRUE(ends.connect());
        const StreamId id = open_tunnel(ends);
        ends.run([] { return false; });
        Connection& sender = from_client ? ends.client : ends.server;
        Connection& receiver = from_client ? ends.server : ends.client;
        std::uint64_t sent = 0, received = 0;
        bool intact = true;
        send_some(sender, id, sent, 200'000);
        ends.run([] { return true; });
        ASSERT_GE(sender.deadline(), ends.now + seconds{1}) << "it waits for its turn";

        ends.to_server.clear();
        ends.to_client.clear();
        ends.delay = std::chrono::milliseconds{10};
        ASSERT_TRUE(ends.client.migrate(ends.now, PathId{0}, Connection::Migration::immediate));
        EXPECT_TRUE(ends.run(
            [&] {
                receive_some(receiver, id, received, intact);
                return received == sent;
            },
            seconds{1}))
            << "from client: " << from_client << ", received " << received;
        EXPECT_TRUE(intact);
    }
}

TEST(Connection, MigratesAgainAfterItHadNoConnectionIdLeftToDoSo)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    open_tunnel(ends);
    ends.run([] { return false; }, seconds{1});
    using enum Connection::Migration;
    ends.loss_per_mille = 1'000;
    for (std::uint32_t turn = 0; turn < 8; ++turn) {
        ASSERT_TRUE(ends.client.migrate(ends.now, PathId{1 + turn % 2}, immediate));
        ends.run([] { return true; });
    }
    ends.loss_per_mille = 0;
    ends.run([] { return false; }, seconds{5});
    EXPECT_EQ(ends.client.current_path(), PathId{2});
    EXPECT_EQ(ends.server.current_path(), PathId{2});
    ASSERT_TRUE(ends.client.migrate(ends.now, PathId{3}, validated));
    ends.run([] { return false; }, seconds{5});
    EXPECT_EQ(ends.client.current_path(), PathId{3});
}

TEST(Connection, ARefusalCarriesStatusAndReason)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = *ends.client.open(ssh);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<RequestReceived>(ends.server_events) != nullptr; }));
    const Response refusal{502, "narrowlink; error=connection_refused"};
    ends.server.respond(id, refusal);
    ends.server.release(id);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<ResponseReceived>(ends.client_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<ResponseReceived>(ends.client_events)->response, refusal);
}

TEST(Connection, UdpPayloadsOfEverySizeArriveWhole)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends, {Request::Kind::udp, {"2001:db8::1", 53}});
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1'200}, std::size_t{16'330}, std::size_t{20'000}, std::size_t{65'507}}) {
        SCOPED_TRACE(size);
        std::vector<std::byte> payload(size);
        for (std::size_t i = 0; i < size; ++i)
            payload[i] = pattern(i);
        ASSERT_TRUE(ends.client.send_datagram(id, payload));
        std::optional<std::vector<std::byte>> arrived;
        ASSERT_TRUE(ends.run([&] { return (arrived = ends.server.receive_datagram(id)).has_value(); }));
        EXPECT_EQ(*arrived, payload);
    }
}

TEST(Connection, UdpPayloadsOfGrowingSizesInARowArriveWhole)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends, {Request::Kind::udp, {"2001:db8::1", 53}});
    constexpr std::size_t count = 20;
    for (std::size_t i = 0; i < count; ++i)
        ASSERT_TRUE(ends.client.send_datagram(id, std::vector<std::byte>(i % 2 == 0 ? 50 : 1'000 + i)));
    std::size_t arrived = 0;
    EXPECT_TRUE(ends.run([&] {
        while (ends.server.receive_datagram(id))
            ++arrived;
        return arrived == count;
    })) << arrived;
}

TEST(Connection, StreamBytesFillThePacketOfADatagram)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId flow = open_tunnel(ends, {Request::Kind::udp, {"2001:db8::1", 53}});
    const StreamId stream = *ends.client.open(ssh);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<RequestReceived>(ends.server_events) != nullptr; }));
    ends.run([] { return false; }, seconds{1});
    std::uint64_t sent = 0;
    send_some(ends.client, stream, sent, 200'000);
    ASSERT_TRUE(ends.client.send_datagram(flow, std::vector<std::byte>(50)));
    std::vector<std::byte> block(65'528);
    const auto train = ends.client.poll_transmit(ends.now, block);
    EXPECT_EQ(train.segment_size, ends.mtu);
    EXPECT_GT(train.size, ends.mtu);
}

TEST(Connection, AllItsIdsBeginAsConfigured)
{
    Connection::Config config;
    config.id_prefix = {std::byte{0xca}, std::byte{0xfe}, std::byte{0x01}, std::byte{0x02}};
    TwoEnds ends{1, config};
    ASSERT_TRUE(ends.connect());
    ends.run([] { return false; }, seconds{1});
    unsigned issued = 0;
    for (const auto* events : {&ends.client_events, &ends.server_events})
        for (const Event& event : *events)
            if (const auto* id = std::get_if<ConnectionIdIssued>(&event)) {
                ++issued;
                EXPECT_TRUE(std::equal(config.id_prefix.begin(), config.id_prefix.end(),
                                       id->id.begin()));
            }
    EXPECT_GE(issued, 2U * 7U) << "each end has spare ones for migrations";
}

// ---- ECN (RFC 9000 §13.4)

namespace {

const Connection::Config cubic{.congestion_control = CongestionControl::cubic};

constexpr std::uint8_t not_capable = 0, capable = 2, congested = 3; // RFC 3168 §5

/// Sends for a while, on a network that does `remark` to the marks.
void send_with_marks(TwoEnds& ends, std::optional<std::uint8_t> remark)
{
    ASSERT_TRUE(ends.connect());
    ends.remark = remark;
    const StreamId id = open_tunnel(ends);
    std::uint64_t sent = 0;
    ends.run(
        [&] {
            send_some(ends.client, id, sent, 500'000);
            std::array<Bytes, 16> spans;
            const std::size_t count = ends.server.received(id, spans);
            for (const Bytes span : std::span{spans}.first(count))
                ends.server.consume(id, span.size());
            return false;
        },
        seconds{2});
    EXPECT_EQ(sent, 500'000U);
}

} // namespace

TEST(Connection, MarksPacketsWhereMarksArrive)
{
    TwoEnds ends{1, cubic};
    send_with_marks(ends, std::nullopt);
    EXPECT_EQ(ends.last_mark, capable);
}

TEST(Connection, DoesNotMarkWhatWouldNotSlowDown)
{
    TwoEnds ends;
    send_with_marks(ends, std::nullopt);
    EXPECT_EQ(ends.last_mark, not_capable);
}

TEST(Connection, StopsMarkingWhereMarksAreErased)
{
    TwoEnds ends{1, cubic};
    send_with_marks(ends, not_capable);
    EXPECT_EQ(ends.last_mark, not_capable);
}

TEST(Connection, SlowsDownWhereTheNetworkSaysThatItIsCongested)
{
    TwoEnds quick{1, cubic}, slow{1, cubic};
    send_with_marks(quick, std::nullopt);
    send_with_marks(slow, congested);
    EXPECT_LT(slow.client.statistics().congestion_window,
              quick.client.statistics().congestion_window / 2);
    EXPECT_EQ(slow.client.statistics().datagrams_dropped, 0U);
}

TEST(Connection, AStalledStreamDoesNotStopTheOthers)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    std::vector<std::pair<StreamId, std::uint64_t>> stalled;
    for (int i = 0; i < 20; ++i)
        stalled.emplace_back(*ends.client.open(ssh), 0);
    const StreamId moving = *ends.client.open(ssh);
    std::uint64_t sent = 0, received = 0;
    bool intact = true;
    constexpr std::uint64_t total = 3'000'000;
    EXPECT_TRUE(ends.run([&] {
        while (const auto* request = TwoEnds::find<RequestReceived>(ends.server_events)) {
            ends.server.respond(request->stream, {});
            ends.server_events.pop_front();
        }
        for (auto& [id, count] : stalled)
            send_some(ends.client, id, count, 50'000'000);
        send_some(ends.client, moving, sent, total);
        receive_some(ends.server, moving, received, intact);
        return received == total;
    }, seconds{600}));
    EXPECT_TRUE(intact);
}

TEST(Connection, StreamsThatAlwaysHaveBytesShareTheConnection)
{
    TwoEnds ends;
    ends.mtu = 1'232;
    ASSERT_TRUE(ends.connect());
    struct Sender {
        StreamId id;
        std::uint64_t sent = 0, received = 0;
    };
    std::vector<Sender> senders;
    for (int i = 0; i < 16; ++i)
        senders.push_back({*ends.client.open(ssh)});
    bool intact = true;
    constexpr std::uint64_t enough = 4'000'000;
    EXPECT_TRUE(ends.run([&] {
        while (!ends.server_events.empty()) {
            if (const auto* request = std::get_if<RequestReceived>(&ends.server_events.front()))
                ends.server.respond(request->stream, {});
            ends.server_events.pop_front();
        }
        bool one_has_enough = false;
        for (Sender& s : senders) {
            send_some(ends.client, s.id, s.sent, 10 * enough);
            receive_some(ends.server, s.id, s.received, intact);
            one_has_enough = one_has_enough || s.received >= enough;
        }
        return one_has_enough;
    }, seconds{600}));
    EXPECT_TRUE(intact);
    for (const Sender& s : senders)
        EXPECT_GT(s.received, enough / 2);
}

TEST(Connection, ManyMoreStreamsThanTheLimitAreServedOneAfterAnother)
{
    Connection::Config config;
    config.streams = 4;
    TwoEnds ends{3, config};
    ASSERT_TRUE(ends.connect());
    int served = 0;
    std::vector<StreamId> open;
    EXPECT_TRUE(ends.run([&] {
        while (const auto id = ends.client.open(ssh)) {
            ends.client.shutdown_send(*id);
            open.push_back(*id);
        }
        for (const Event& event : ends.server_events)
            if (const auto* request = std::get_if<RequestReceived>(&event)) {
                ends.server.respond(request->stream, {});
                ends.server.shutdown_send(request->stream);
                ends.server.release(request->stream);
                ++served;
            }
        ends.server_events.clear();
        for (const Event& event : ends.client_events)
            if (const auto* response = std::get_if<ResponseReceived>(&event))
                ends.client.release(response->stream);
        ends.client_events.clear();
        return served >= 200;
    }, seconds{120}));
}

TEST(Connection, APingIsAnsweredAndCostsNoStream)
{
    TwoEnds ends;
    EXPECT_EQ(ends.client.ping().error(), make_error_code(Error::not_connected));
    ASSERT_TRUE(ends.connect());
    for (int i = 0; i < 2'000; ++i) { // more than may be open at once
        ASSERT_TRUE(ends.client.ping());
        EXPECT_TRUE(ends.client.ping_waits());
        ASSERT_TRUE(ends.run([&] { return !ends.client.ping_waits(); }));
    }
    EXPECT_EQ(TwoEnds::find<RequestReceived>(ends.server_events), nullptr);
    EXPECT_EQ(TwoEnds::find<StreamReset>(ends.client_events), nullptr);
}

TEST(Connection, ForgedAndDamagedPacketsChangeNothing)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    const StreamId id = open_tunnel(ends);
    const Instant before = ends.server.last_authentic();
    std::vector<std::byte> noise(1'200);
    for (int i = 0; i < 200; ++i) {
        ends.random.fill(noise);
        noise[0] = static_cast<std::byte>(i);
        ends.server.handle_packets(ends.now + seconds{1}, PathId{}, noise, noise.size());
    }
    EXPECT_EQ(ends.server.last_authentic(), before);
    std::uint64_t sent = 0, received = 0;
    bool intact = true;
    EXPECT_TRUE(ends.run([&] {
        send_some(ends.client, id, sent, 100'000);
        receive_some(ends.server, id, received, intact);
        return received == 100'000;
    }));
    EXPECT_TRUE(intact);
}

TEST(Connection, ACloseIsToldToThePeer)
{
    TwoEnds ends;
    ASSERT_TRUE(ends.connect());
    ends.client.close(ends.now, h3_no_error);
    ASSERT_TRUE(ends.run([&] { return TwoEnds::find<Closed>(ends.server_events) != nullptr; }));
    EXPECT_EQ(TwoEnds::find<Closed>(ends.server_events)->reason, Error::closed_by_peer);
}

} // namespace narrowlink::quic::test

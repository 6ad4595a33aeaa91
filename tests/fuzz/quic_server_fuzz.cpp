// What anybody may send to an agent: noise, damaged or repeated copies of a client's real packets,
// and a whole handshake with the wrong key. Nothing of it may connect, crash, or make the agent
// send more than RFC 9000 §8.1 allows.
//
// Input: steps of a letter and its arguments, see World::step().
#include "narrowlink/quic/connection.hpp"
#include "support/seeded_random.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

using namespace narrowlink;

namespace {

constexpr std::size_t mtu = 16'368;
constexpr Instant start{std::chrono::seconds{1'000}};

void require(bool holds)
{
    if (!holds)
        std::abort();
}

/// Keys are loaded once: inputs are many.
struct Lab {
    Lab()
    {
        SeededRandom random{1};
        const UnixTime birth{std::chrono::seconds{1'000'000'000}};
        const auto client = *crypto::Identity::make_ed25519(birth, random);
        const auto server = *crypto::Identity::make_ed25519(birth, random);
        client_pin = client.pin;
        server_pin = server.pin;
        credentials = *quic::Credentials::load(server);
        stranger = *quic::Credentials::load(*crypto::Identity::make_ed25519(birth, random));
        auto connection = *quic::Connection::client(
            {}, {*quic::Credentials::load(client), server.pin}, start, random);
        initial.resize(65'528);
        const auto train = connection.poll_transmit(start, initial);
        require(train.size >= 1'200); // RFC 9000 §14.1
        initial.resize(train.size);
        segment_size = train.segment_size;
    }

    std::shared_ptr<const quic::Credentials> credentials, stranger;
    crypto::Pin client_pin, server_pin;
    std::vector<std::byte> initial; ///< the client's first train
    std::size_t segment_size = 0;
};

const Lab& lab()
{
    static const Lab made;
    return made;
}

class World {
public:
    void step(Reader& in)
    {
        std::vector<std::byte> packet = latest_.bytes;
        switch (in.u8()) {
        case 'i': handle(packet); break; // as it was
        case 'c': converse(); break;
        case 'f': { // u16 place, u8 bits: with bits flipped
            const std::size_t place = in.u16() % packet.size();
            packet[place] ^= static_cast<std::byte>(in.u8());
            handle(packet);
            break;
        }
        case 't': // u16 size: cut
            packet.resize(in.u16() % packet.size());
            handle(packet);
            break;
        case 's': { // u16 place, u8 size, bytes: partly overwritten
            const std::size_t place = in.u16() % packet.size();
            const Bytes bytes =
                in.take(std::min<std::size_t>({in.u8(), in.rest().size(), packet.size() - place}));
            std::ranges::copy(bytes, packet.begin() + static_cast<std::ptrdiff_t>(place));
            handle(packet);
            break;
        }
        case 'n': { // u16 size, u16 segment size, bytes: noise
            const std::size_t size = in.u16();
            const std::size_t segment_size = std::max<std::size_t>(in.u16(), 1);
            const Bytes bytes = in.take(std::min(size, in.rest().size()));
            received_ += bytes.size();
            server_.handle_packets(now_, {}, bytes, segment_size);
            break;
        }
        case 'w': // u16: milliseconds pass
            wait_until(now_ + std::chrono::milliseconds{in.u16()});
            break;
        default: wait_until(std::min(server_.deadline(), now_ + std::chrono::hours{1})); break;
        }
        drain();
    }

    void finish()
    {
        for (int i = 0; i < 1'000 && !server_.is_closed() && server_.deadline() != never; ++i)
            wait_until(server_.deadline());
        // A handshake that leads nowhere ends by itself.
        require(server_.is_closed() || server_.deadline() == never);
    }

private:
    struct Train {
        std::vector<std::byte> bytes;
        std::size_t segment_size;
    };

    void handle(Bytes train)
    {
        received_ += train.size();
        server_.handle_packets(now_, {}, train, latest_.segment_size);
    }

    /// One round of a handshake with a client that has another key than the introduced one.
    void converse()
    {
        if (!stranger_)
            stranger_.emplace(
                *quic::Connection::client({}, {lab().stranger, lab().server_pin}, now_, random_));
        for (const Train& train : std::exchange(answers_, {}))
            stranger_->handle_packets(now_, {}, train.bytes, train.segment_size);
        std::vector<std::byte> block(65'528);
        for (;;) {
            const auto train = stranger_->poll_transmit(now_, block);
            if (train.size == 0)
                break;
            const Bytes bytes = Bytes{block}.first(train.size);
            latest_ = {{bytes.begin(), bytes.end()}, train.segment_size};
            handle(bytes);
        }
        while (stranger_->poll_event()) {
        }
    }

    void wait_until(Instant end)
    {
        for (int i = 0; i < 1'000 && server_.deadline() <= end; ++i) {
            now_ = std::max(now_, server_.deadline());
            server_.handle_timeout(now_);
            drain();
        }
        require(server_.deadline() > end || now_ == end); // else its timers stand still
        now_ = std::max(now_, end);
    }

    void drain()
    {
        std::vector<std::byte> block(65'528);
        for (int i = 0;; ++i) {
            require(i < 100);
            const auto train = server_.poll_transmit(now_, block);
            require(train.size <= block.size() && train.segment_size <= mtu);
            if (train.size == 0)
                break;
            sent_ += train.size;
            const Bytes bytes = Bytes{block}.first(train.size);
            if (answers_.size() < 64)
                answers_.push_back({{bytes.begin(), bytes.end()}, train.segment_size});
        }
        require(sent_ <= 3 * received_ || stranger_); // who answers has shown that it is there
        while (const auto event = server_.poll_event()) {
            if (std::holds_alternative<quic::ConnectionIdIssued>(*event))
                continue;
            require(std::holds_alternative<quic::Closed>(
                *event)); // a stranger brings about nothing else
            require(!std::exchange(told_closed_, true));
        }
        require(!server_.is_connected());
        require(server_.is_closed() == told_closed_);
        require(server_.deadline() > now_ ||
                server_.deadline() == never); // drained: nothing is overdue
        if (server_.is_closed())
            require(server_.deadline() == never);
        require(server_.last_authentic() <= now_);
    }

    SeededRandom random_{2};
    Instant now_ = start;
    quic::Connection server_ =
        quic::Connection::server({}, {lab().credentials, lab().client_pin}, start, random_);
    std::optional<quic::Connection> stranger_;
    Train latest_{lab().initial, lab().segment_size}; ///< of the client
    std::vector<Train> answers_;
    std::size_t received_ = 0, sent_ = 0;
    bool told_closed_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    World world;
    for (int steps = 0; steps < 200 && !in.done() && in.ok(); ++steps)
        world.step(in);
    world.finish();
    return 0;
}

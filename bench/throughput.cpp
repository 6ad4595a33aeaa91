// Theory of operation
//
// Goal: bytes over time on N streams at once, each byte counted by the end that received it.
//
// One thread and one waiting set, as in the target. All streams are open before the clock starts.
// An upload sends until its deadline, shuts down, and ends when the target's count has come back; a
// download ends with the stream, whose last eight bytes are the target's count. So the bytes that a
// tunnel has buffered at the deadline still count, and so does the time they take. A count that
// does not match what was sent fails the run.

#include "dialogue.hpp"
#include "load.hpp"

#include <algorithm>
#include <iostream>
#include <sys/socket.h>

namespace narrowlink::bench {

namespace {

/// The last eight bytes of a stream that comes in pieces.
class Tail {
public:
    void append(std::span<const std::byte> piece)
    {
        piece = piece.last(std::min(piece.size(), bytes_.size()));
        std::shift_left(bytes_.begin(), bytes_.end(), static_cast<std::ptrdiff_t>(piece.size()));
        std::ranges::copy(piece, bytes_.end() - static_cast<std::ptrdiff_t>(piece.size()));
    }

    [[nodiscard]] std::uint64_t count() const { return decode(bytes_); }

private:
    Count bytes_{};
};

struct Stream {
    Descriptor socket;
    bool sending = false;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    Tail tail;
};

class Transfer {
public:
    explicit Transfer(const Load& load) : load_{load}, streams_(load.streams)
    {
        for (Stream& stream : streams_)
            stream.socket = open_stream(load);
    }

    void run()
    {
        start();
        auto last_progress = started_;
        while (open_ > 0) {
            const auto ready = epoll_.wait(std::chrono::milliseconds{50});
            const auto now = Clock::now();
            for (const epoll_event& event : ready)
                advance(*static_cast<Stream*>(event.data.ptr));
            if (now >= deadline_)
                finish_sending();
            if (!ready.empty())
                last_progress = now;
            else if (now - last_progress > patience)
                fail("nothing moved for " + std::to_string(patience.count()) + " s");
        }
        ended_ = Clock::now();
    }

    void report() const
    {
        std::uint64_t bytes = 0;
        for (const Stream& stream : streams_)
            bytes += stream.sent + stream.received; // one of them is the payload, the other is 0
        const std::chrono::duration<double> elapsed = ended_ - started_;
        std::cout << "{\"bytes\": " << bytes << ", \"seconds\": " << elapsed.count()
                  << ", \"gigabits_per_second\": "
                  << static_cast<double>(bytes) * 8e-9 / elapsed.count() << "}\n";
    }

private:
    void start()
    {
        const bool up = load_.direction == Direction::up;
        started_ = Clock::now();
        deadline_ = started_ + load_.duration;
        open_ = streams_.size();
        for (Stream& stream : streams_) {
            send_all(stream.socket,
                     make_request(up ? Operation::upload : Operation::download, load_.duration));
            set_non_blocking(stream.socket);
            stream.sending = up;
            epoll_.add(stream.socket, up ? EPOLLOUT : EPOLLIN, &stream);
        }
    }

    void advance(Stream& stream)
    {
        if (stream.sending) {
            const std::ptrdiff_t sent = send_some(stream.socket, payload_);
            if (sent > 0)
                stream.sent += static_cast<std::uint64_t>(sent);
            return;
        }
        const std::ptrdiff_t received = receive_some(stream.socket, scratch_);
        if (received == 0)
            return end(stream);
        if (received == would_block)
            return;
        stream.received += static_cast<std::uint64_t>(received);
        stream.tail.append(std::span{scratch_}.first(static_cast<std::size_t>(received)));
    }

    void finish_sending()
    {
        for (Stream& stream : streams_) {
            if (!stream.sending)
                continue;
            shutdown(stream.socket.get(), SHUT_WR);
            stream.sending = false;
            epoll_.change(stream.socket, EPOLLIN, &stream);
        }
    }

    void end(Stream& stream)
    {
        if (stream.received < sizeof(Count))
            fail("a stream ended before the target's count");
        stream.received -= sizeof(Count);
        const std::uint64_t moved =
            load_.direction == Direction::up ? stream.sent : stream.received;
        if (stream.tail.count() != moved ||
            (load_.direction == Direction::up && stream.received != 0))
            fail("bytes were lost or invented: this end counts " + std::to_string(moved) +
                 ", the target " + std::to_string(stream.tail.count()));
        stream.socket.close();
        --open_;
    }

    const Load& load_;
    std::vector<Stream> streams_;
    const std::vector<std::byte> payload_ = random_chunk();
    std::vector<std::byte> scratch_ = std::vector<std::byte>(chunk_size);
    Epoll epoll_;
    std::size_t open_ = 0;
    Clock::time_point started_;
    Clock::time_point deadline_;
    Clock::time_point ended_;
};

} // namespace

void measure_throughput(const Load& load)
{
    Transfer transfer{load};
    transfer.run();
    transfer.report();
}

} // namespace narrowlink::bench

// The far end of every measurement: bench_target --listen 127.0.0.1:0 [--congestion NAME]
//
// Theory of operation
//
// One thread, one waiting set. It prints "listening ADDRESS:PORT" and serves until it is killed.
//   requesting  greeted, waiting for a Request (dialogue.hpp)
//   uploading   counts until the stream ends, answers with the count, closes
//   downloading sends random bytes until its deadline, then
//   reporting   sends what is left of the count, shuts down, and then waits in
//   ending      until the peer has closed
//   echoing     sends back what comes
// A connection that fails is dropped with a line on stderr: tunnels under test may reset it.

#include "dialogue.hpp"
#include "sockets.hpp"

#include <algorithm>
#include <exception>
#include <iostream>
#include <memory>
#include <string_view>
#include <sys/socket.h>
#include <unordered_map>

namespace narrowlink::bench {

namespace {

class Connection {
public:
    explicit Connection(Descriptor socket) : socket_{std::move(socket)}
    {
        set_non_blocking(socket_);
    }

    [[nodiscard]] const Descriptor& socket() const { return socket_; }

    /// Moves what can be moved now; false when the connection is over.
    bool advance(Epoll& epoll, std::span<const std::byte> payload, std::span<std::byte> scratch)
    {
        switch (state_) {
        case State::requesting: return receive_request(epoll);
        case State::uploading: return count_upload(scratch);
        case State::downloading: return send_download(payload);
        case State::reporting: return send_report(epoll);
        case State::echoing: return echo(scratch);
        case State::ending: return receive_some(socket_, scratch) != 0;
        }
        return false;
    }

private:
    enum class State { requesting, uploading, downloading, reporting, echoing, ending };

    bool receive_request(Epoll& epoll)
    {
        const std::ptrdiff_t received =
            receive_some(socket_, std::span{request_}.subspan(request_size_));
        if (received == would_block)
            return true;
        request_size_ += static_cast<std::size_t>(received);
        if (received == 0 || request_size_ < request_.size())
            return received != 0;

        Count milliseconds{};
        std::copy(request_.begin() + 1, request_.end(), milliseconds.begin());
        switch (static_cast<Operation>(request_[0])) {
        case Operation::upload: state_ = State::uploading; return true;
        case Operation::echo: state_ = State::echoing; return true;
        case Operation::download:
            state_ = State::downloading;
            deadline_ = Clock::now() + std::chrono::milliseconds{decode(milliseconds)};
            epoll.change(socket_, EPOLLOUT, this);
            return true;
        }
        fail("unknown request");
    }

    bool count_upload(std::span<std::byte> scratch)
    {
        const std::ptrdiff_t received = receive_some(socket_, scratch);
        if (received > 0)
            count_ += static_cast<std::uint64_t>(received);
        if (received != 0)
            return true;
        send_all(socket_, encode(count_));
        return false;
    }

    bool send_download(std::span<const std::byte> payload)
    {
        const std::ptrdiff_t sent = send_some(socket_, payload);
        if (sent > 0)
            count_ += static_cast<std::uint64_t>(sent);
        if (Clock::now() >= deadline_) {
            report_ = encode(count_);
            state_ = State::reporting;
        }
        return true;
    }

    bool send_report(Epoll& epoll)
    {
        const std::ptrdiff_t sent = send_some(socket_, std::span{report_}.subspan(report_size_));
        if (sent > 0)
            report_size_ += static_cast<std::size_t>(sent);
        if (report_size_ < report_.size())
            return true;
        shutdown(socket_.get(), SHUT_WR);
        state_ = State::ending;
        epoll.change(socket_, EPOLLIN, this);
        return true;
    }

    bool echo(std::span<std::byte> scratch)
    {
        const std::ptrdiff_t received = receive_some(socket_, scratch);
        if (received > 0)
            send_all(socket_, scratch.first(static_cast<std::size_t>(received)));
        return received != 0;
    }

    Descriptor socket_;
    State state_ = State::requesting;
    Request request_{};
    std::size_t request_size_ = 0;
    Clock::time_point deadline_;
    std::uint64_t count_ = 0;
    Count report_{};
    std::size_t report_size_ = 0;
};

void serve(const Descriptor& listener)
{
    const std::vector<std::byte> payload = random_chunk();
    std::vector<std::byte> scratch(chunk_size);
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections;
    Epoll epoll;
    epoll.add(listener, EPOLLIN, nullptr);

    for (;;) {
        for (const epoll_event& event : epoll.wait(std::chrono::seconds{60})) {
            auto* connection = static_cast<Connection*>(event.data.ptr);
            try {
                if (!connection) {
                    Descriptor socket{accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
                    if (socket.get() < 0)
                        continue;
                    send_all(socket, std::span{&greeting, 1});
                    auto accepted = std::make_unique<Connection>(std::move(socket));
                    epoll.add(accepted->socket(), EPOLLIN, accepted.get());
                    connections.emplace(accepted.get(), std::move(accepted));
                } else if (!connection->advance(epoll, payload, scratch)) {
                    connections.erase(connection);
                }
            } catch (const std::exception& error) {
                std::cerr << "bench_target: connection dropped: " << error.what() << std::endl;
                connections.erase(connection);
            }
        }
    }
}

} // namespace

} // namespace narrowlink::bench

int main(int argc, char** argv)
{
    using namespace narrowlink::bench;
    try {
        std::string address = "127.0.0.1:0";
        SocketOptions options;
        for (int i = 1; i + 1 < argc; i += 2) {
            if (std::string_view{argv[i]} == "--listen")
                address = argv[i + 1];
            else if (std::string_view{argv[i]} == "--congestion")
                options.congestion = argv[i + 1];
            else
                fail(std::string{"unknown option "} + argv[i]);
        }
        const Descriptor listener = listen_on(address, options);
        std::cout << "listening " << local_address(listener) << std::endl;
        serve(listener);
    } catch (const std::exception& error) {
        std::cerr << "bench_target: " << error.what() << '\n';
        return 1;
    }
}

#include "datagram_forward.hpp"

#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/together.hpp"

#include <map>
#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::client {
namespace {

constexpr std::size_t most_flows = 4'096;
constexpr std::size_t most_pending = 64; ///< datagrams of a flow whose stream is not open yet
constexpr int datagrams_per_turn = 64;

struct Flow {
    udp::endpoint source;
    Instant last_active;
    std::vector<std::vector<std::byte>> pending;
    std::optional<LinkStream> opened;
};

/// Everything that one listening socket's tasks share. Outlives them: they run in its scope.
class DatagramForward {
public:
    DatagramForward(ClientNode& node, AgentLink& link, udp::socket socket, HostPort target)
        : node_{&node}
        , link_{&link}
        , socket_{std::move(socket)}
        , target_{std::move(target)}
        , scope_{socket_.get_executor(), [](const std::exception_ptr&) {}}
    {
        socket_.non_blocking(true);
    }

    net::awaitable<void> run()
    {
        auto body = receive_loop();
        auto running = scope_.run(std::move(body));
        co_await std::move(running);
    }

private:
    net::awaitable<void> receive_loop()
    {
        std::vector<std::byte> block(65'535);
        for (;;) {
            co_await socket_.async_wait(udp::socket::wait_read, net::use_awaitable);
            for (int i = 0; i < datagrams_per_turn; ++i) {
                udp::endpoint from;
                ErrorCode error;
                const std::size_t n = socket_.receive_from(net::buffer(block), from, 0, error);
                if (error == net::error::would_block)
                    break;
                if (!error)
                    handle(from, Bytes{block}.first(n));
            }
        }
    }

    void handle(const udp::endpoint& from, Bytes payload)
    {
        auto it = flows_.find(from);
        if (it == flows_.end()) {
            if (flows_.size() >= most_flows)
                return;
            it = flows_.emplace(from, Flow{from, io::now(), {}, std::nullopt}).first;
            scope_.spawn(serve(it->second));
        }
        Flow& flow = it->second;
        flow.last_active = io::now();
        if (flow.opened)
            flow.opened->stream->send_datagram(payload);
        else if (flow.pending.size() < most_pending)
            flow.pending.emplace_back(payload.begin(), payload.end());
    }

    net::awaitable<void> serve(Flow& flow)
    {
        try {
            auto opening = link_->open({quic::Request::Kind::udp, target_},
                                       io::now() + node_->settings().connect_timeout);
            flow.opened.emplace(co_await std::move(opening));
            for (const auto& payload : std::exchange(flow.pending, {}))
                flow.opened->stream->send_datagram(payload);
            auto answers = return_answers(flow);
            auto idle = end_when_idle(flow);
            auto both = io::together(std::move(answers), std::move(idle));
            co_await std::move(both);
        } catch (const Failure& failure) {
            io::log_event(LogLevel::warning, "connection_refused", "target", to_string(target_),
                          "reason", failure.what());
        } catch (const boost::system::system_error& error) {
            if (error.code() == net::error::operation_aborted) {
                flows_.erase(udp::endpoint{flow.source});
                throw;
            }
        }
        flows_.erase(udp::endpoint{flow.source});
    }

    net::awaitable<void> return_answers(Flow& flow)
    {
        drive::Stream& stream = *flow.opened->stream;
        for (;;) {
            while (const auto payload = stream.receive_datagram()) {
                ErrorCode lost; // a full socket buffer drops it, as a router would
                socket_.send_to(net::buffer(*payload), flow.source, 0, lost);
                flow.last_active = io::now();
            }
            if (stream.has_failed() || stream.receive_ended())
                throw boost::system::system_error{net::error::eof};
            co_await stream.wait_readable();
        }
    }

    net::awaitable<void> end_when_idle(Flow& flow)
    {
        const Duration timeout = node_->settings().udp_idle_timeout;
        net::steady_timer timer{socket_.get_executor()};
        while (io::now() < flow.last_active + timeout) {
            timer.expires_at(flow.last_active + timeout);
            co_await timer.async_wait(net::use_awaitable);
        }
        throw boost::system::system_error{net::error::timed_out};
    }

    ClientNode* node_;
    AgentLink* link_;
    udp::socket socket_;
    HostPort target_;
    std::map<udp::endpoint, Flow> flows_;
    io::TaskScope scope_;
};

} // namespace

net::awaitable<void> forward_datagrams(ClientNode& node, AgentLink& link, udp::socket socket,
                                       HostPort target)
{
    DatagramForward forward{node, link, std::move(socket), std::move(target)};
    auto running = forward.run();
    co_await std::move(running);
}

} // namespace narrowlink::client

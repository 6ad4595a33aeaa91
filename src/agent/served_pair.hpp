#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/agent/agent.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/drive/pair_driver.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <functional>
#include <string>

namespace narrowlink::agent {

/// One client that this agent serves: the pair, and a task per request.
class ServedPair final : drive::PairDriver::Owner {
public:
    /// `on_quiet` tells that the client is not heard (path::PathQuiet), `on_closed` that the pair is over
    /// and may be joined and destroyed, later.
    ServedPair(net::any_io_executor executor, const Settings& settings, std::string agent,
               const control::Introduction& introduction, Random& random,
               drive::PairDriver::WakeCarriers wake_carriers,
               std::function<void()> on_quiet, std::function<void()> on_closed);

    drive::PairDriver& driver() { return driver_; }

    [[nodiscard]] bool is_closed() const { return driver_.is_closed(); }

    /// The client was introduced again; its policies may have changed.
    void update(const control::Introduction& introduction);

    void close();

    /// Ends every task. To be awaited before destruction.
    net::awaitable<void> join();

private:
    void handle_request(quic::StreamId, const quic::Request&) override;
    void handle_connected() override;
    void handle_path_changed(const path::PathChanged&) override;
    void handle_path_quiet() override { on_quiet_(); }
    void handle_closed(const quic::Closed&) override;

    net::awaitable<void> serve(quic::StreamId id, quic::Request request);
    net::awaitable<void> serve_tcp(drive::Stream& stream, const quic::Request& request,
                                   std::vector<IpAddress> addresses, Instant deadline);
    net::awaitable<void> serve_udp(drive::Stream& stream, const quic::Request& request,
                                   std::vector<IpAddress> addresses);
    void log_refusal(const quic::Request& request, const quic::Response& response) const;

    Settings settings_;
    std::string agent_;
    std::string client_;
    access::PolicySet policies_;
    std::function<void()> on_quiet_, on_closed_;
    drive::PairDriver driver_;
    io::TaskScope tasks_;
};

} // namespace narrowlink::agent

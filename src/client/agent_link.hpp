#pragma once

#include "narrowlink/client/client.hpp"
#include "narrowlink/drive/direct_node.hpp"
#include "narrowlink/drive/notice.hpp"
#include "narrowlink/drive/pair_driver.hpp"
#include "narrowlink/drive/relay_node.hpp"
#include "narrowlink/drive/stream.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <list>
#include <memory>
#include <optional>
#include <string>

namespace narrowlink::client {

/// One QUIC connection to an agent, from its introduction to its end.
class Connection final : drive::PairDriver::Owner {
public:
    Connection(net::any_io_executor executor, path::Pair pair, std::string agent,
               drive::PairDriver::WakeCarriers wake_carriers, drive::Notice& changed);

    drive::PairDriver& driver() { return driver_; }

    [[nodiscard]] bool is_usable() { return driver_.connection().is_connected(); }

    [[nodiscard]] bool is_direct()
    {
        return driver_.pair().current() == path::CarrierKind::direct_udp;
    }

    [[nodiscard]] bool is_over() const { return driver_.is_closed(); }

    [[nodiscard]] const std::optional<quic::Closed>& end() const { return end_; }

    /// When the path has last changed.
    [[nodiscard]] Instant path_since() const { return path_since_; }

    /// Of the agent's packets since then, the share that did not arrive; nothing while they are few.
    [[nodiscard]] std::optional<double> loss();

    /// Nothing of it runs any more.
    [[nodiscard]] bool is_idle() const { return tasks_.empty(); }

    net::awaitable<void> join();

private:
    void handle_connected() override { changed_->tell(); }

    void handle_streams_available() override { changed_->tell(); }

    void handle_path_changed(const path::PathChanged&) override;
    void handle_path_measured(const path::PathMeasured&) override;
    void handle_closed(const quic::Closed&) override;

    std::string agent_;
    drive::Notice* changed_;
    std::optional<quic::Closed> end_;
    Instant path_since_{};
    quic::Connection::Statistics at_path_change_{};
    drive::PairDriver driver_;
    io::TaskScope tasks_;
};

/// A stream and what it needs to stay alive.
struct LinkStream {
    std::shared_ptr<Connection> connection;
    std::unique_ptr<drive::Stream> stream; ///< destroyed first
};

/// This client's way to one agent: asks the gateway for an introduction, keeps the pair through
/// lost sessions, and makes a new one when the agent is a new process.
class AgentLink {
public:
    AgentLink(net::any_io_executor executor, std::string agent, const Settings& settings,
              drive::RelayNode& node, drive::DirectNode& direct, Random& random);
    ~AgentLink();
    AgentLink(const AgentLink&) = delete;
    AgentLink& operator=(const AgentLink&) = delete;

    /// Opens a stream, waiting for the introduction and the handshake as long as needed.
    /// Throws Failure: gateway or agent not there until `deadline`, agent unknown, request refused.
    net::awaitable<LinkStream> open(quic::Request request, Instant deadline);

    /// Waits until the agent is connected. Throws as open().
    net::awaitable<void> ready(Instant deadline);

    // What the node reports.
    void handle_session();
    void handle_session_lost(const std::string& sentence);
    void handle_introduced(const control::Introduced&);
    void handle_refused(const control::Refused&);
    void handle_interrupted(const wire::PairId&);
    void handle_released(const wire::PairId&);
    void handle_punch(const control::Punch&);
    void handle_aim(const control::Aim&);
    void handle_udp_relay(const control::UdpRelay&);
    void handle_unreachable(const control::Unreachable&);
    void handle_list(const std::vector<control::Agent>&);

    /// Asks the gateway for another attempt to find a direct path.
    void meet(direct::CarriedPair&);
    /// Tells it how an attempt has ended.
    void tell_punched(direct::CarriedPair&, std::uint32_t attempt, bool opened);

    /// What `status` shows, as a JSON object.
    [[nodiscard]] std::string report();

    /// Closes the pair; the node needs a moment to send that.
    void close();
    net::awaitable<void> join();

private:
    [[nodiscard]] wire::RelayTag tag() const;
    void introduce();
    void retire();
    net::awaitable<void> usable(Instant deadline);
    [[nodiscard]] bool is_usable();
    [[nodiscard]] Instant hopeless_at();
    [[nodiscard]] Failure timed_out();
    void ask_for_agent_nat();

    net::any_io_executor executor_;
    std::string agent_;
    const Settings* settings_;
    drive::RelayNode* node_;
    drive::DirectNode* direct_;
    Random* random_;
    Instant started_;
    drive::Notice changed_;
    wire::PairId pair_id_;
    bool pair_existed_ = false; ///< the gateway has introduced us under pair_id_
    bool introducing_ = false;
    std::optional<control::InstanceId> instance_;
    std::optional<control::Refused> refused_;
    std::string last_trouble_;
    Instant unreachable_at_ = never; ///< when the gateway said so
    std::string agent_nat_; ///< what stands before the agent, for `status`
    Instant agent_nat_asked_at_{};
    std::shared_ptr<Connection> connection_;
    std::list<std::shared_ptr<Connection>> retired_; ///< over, but streams or tasks still refer to them
};

} // namespace narrowlink::client

// Theory of operation
//
// States of the link, as data: no pair yet (no connection_) → introduced, handshake → usable.
//
//   session up        → Introduce, with resume when the pair exists already
//   Introduced        → same agent process: the pair's carrier is up again, streams go on
//                     → other agent process: that process knows nothing of our connection; the pair is
//                       given up and a new one introduced
//   Interrupted       → the carrier is down, the connection is frozen and waits
//   Refused, Released → the pair is gone; the next open() asks again
//   connection closed → the same
//
// A connection that is over is retired: streams of it may still be unwinding.

#include "agent_link.hpp"

#include "refusal.hpp"

#include "narrowlink/control/relay_tag.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <algorithm>
#include <utility>

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::client {

Connection::Connection(net::any_io_executor executor, path::Pair pair, std::string agent,
                       drive::PairDriver::WakeCarriers wake_carriers, drive::Notice& changed)
    : agent_{std::move(agent)}
    , changed_{&changed}
    , driver_{executor, std::move(pair), *this, std::move(wake_carriers)}
    , tasks_{executor, [](const std::exception_ptr&) {}}
{
    tasks_.spawn(driver_.run());
}

net::awaitable<void> Connection::join()
{
    auto joining = tasks_.join();
    co_await std::move(joining);
}

void Connection::handle_path_changed(const path::PathChanged& change)
{
    path_since_ = io::now();
    at_path_change_ = driver_.connection().statistics();
    const std::string_view path = change.carrier ? path::to_string(*change.carrier) : "none";
    const std::string_view reason = path::to_string(change.reason);
    if (change.rtt_before)
        io::log_event(LogLevel::info, "path_changed", "agent", agent_, "path", path, "reason", reason,
                      "rtt_before", *change.rtt_before);
    else
        io::log_event(LogLevel::info, "path_changed", "agent", agent_, "path", path, "reason", reason);
    changed_->tell();
}

std::optional<double> Connection::loss()
{
    constexpr double few = 20;
    const auto now = driver_.connection().statistics();
    const auto arrived = static_cast<double>(now.packets_received - at_path_change_.packets_received);
    // What was only overtaken when the path changed has come since.
    const double missing =
        std::max(0.0, static_cast<double>(now.packets_missing) -
                          static_cast<double>(at_path_change_.packets_missing));
    if (arrived + missing < few)
        return std::nullopt;
    return missing / (arrived + missing);
}

void Connection::handle_path_measured(const path::PathMeasured& measured)
{
    io::log_event(LogLevel::info, "path_measured", "agent", agent_, "path",
                  path::to_string(measured.carrier), "rtt", measured.rtt);
}

void Connection::handle_closed(const quic::Closed& closed)
{
    end_ = closed;
    io::log_event(LogLevel::info, "agent_connection_closed", "agent", agent_, "reason",
                  closed.reason, "detail", closed.detail);
    changed_->tell();
}

AgentLink::AgentLink(net::any_io_executor executor, std::string agent, const Settings& settings,
                     drive::RelayNode& node, drive::DirectNode& direct, Random& random)
    : executor_{executor}
    , agent_{std::move(agent)}
    , settings_{&settings}
    , node_{&node}
    , direct_{&direct}
    , random_{&random}
    , started_{io::now()}
    , changed_{executor}
    , pair_id_{random.array<16>()}
{
}

AgentLink::~AgentLink() = default;

void AgentLink::introduce()
{
    control::NodeSession* session = node_->session();
    if (session == nullptr || !session->is_established() || introducing_)
        return;
    introducing_ = true;
    refused_.reset();
    session->introduce(io::now(), 1, agent_, pair_id_, pair_existed_);
    node_->wake();
}

void AgentLink::retire()
{
    if (connection_) {
        node_->detach(connection_->driver());
        direct_->forget(connection_->driver());
        retired_.push_back(std::move(connection_));
    }
    connection_.reset();
    pair_id_ = wire::PairId{random_->array<16>()};
    pair_existed_ = false;
    introducing_ = false;
    instance_.reset();
    std::erase_if(retired_, [](const std::shared_ptr<Connection>& connection) {
        return connection->is_over() && connection->is_idle() && connection.use_count() == 1;
    });
}

void AgentLink::handle_session()
{
    introducing_ = false;
    introduce();
    changed_.tell();
}

void AgentLink::handle_session_lost(const std::string& sentence)
{
    last_trouble_ = sentence;
    introducing_ = false;
    unreachable_at_ = never; // the next session may be from another network
    changed_.tell();
}

void AgentLink::handle_introduced(const control::Introduced& introduced)
{
    if (introduced.pair != pair_id_)
        return;
    introducing_ = false;
    if (connection_ && (connection_->is_over() || instance_ != introduced.instance)) {
        io::log_event(LogLevel::info, "agent_restarted", "agent", agent_);
        if (control::NodeSession* session = node_->session())
            session->release(io::now(), pair_id_);
        close();
        retire();
        introduce();
        return;
    }
    pair_existed_ = true;
    instance_ = introduced.instance;
    ask_for_agent_nat();
    if (!connection_) {
        path::Pair::Config config = settings_->pair;
        config.quic.id_prefix = tag();
        auto pair = path::Pair::client(config, {settings_->credentials, introduced.key},
                                       io::now(), *random_);
        if (!pair)
            throw Failure{ExitCode::unexpected, pair.error().message()};
        connection_ = std::make_shared<Connection>(
            executor_, std::move(*pair), agent_,
            [node = node_, direct = direct_](std::optional<path::CarrierKind> kind) {
                node->wake(kind);
                direct->wake(kind);
            },
            changed_);
    }
    // With --direct the relay carries the handshake and nothing else.
    if (settings_->route != Route::direct || !connection_->is_usable())
        node_->attach(introduced.handle, connection_->driver());
}

void AgentLink::handle_refused(const control::Refused& refused)
{
    introducing_ = false;
    refused_ = refused;
    if (connection_)
        close();
    retire();
    changed_.tell();
}

void AgentLink::handle_interrupted(const wire::PairId& pair)
{
    if (pair != pair_id_)
        return;
    introducing_ = false;
    if (connection_)
        node_->detach(connection_->driver());
    changed_.tell();
}

void AgentLink::handle_released(const wire::PairId& pair)
{
    if (pair != pair_id_)
        return;
    if (connection_)
        close();
    retire();
    changed_.tell();
}

void AgentLink::handle_punch(const control::Punch& punch)
{
    if (punch.pair != pair_id_ || !connection_)
        return;
    unreachable_at_ = never;
    direct_->punch(punch, connection_->driver());
}

void AgentLink::handle_aim(const control::Aim& aim)
{
    if (aim.pair == pair_id_ && connection_)
        direct_->aim(aim, connection_->driver());
}

wire::RelayTag AgentLink::tag() const
{
    return control::relay_tag(control::Role::client, settings_->node.hello.key, pair_id_);
}

void AgentLink::handle_udp_relay(const control::UdpRelay& relay)
{
    if (relay.pair == pair_id_ && connection_)
        direct_->relay(connection_->driver(), tag());
}

void AgentLink::handle_unreachable(const control::Unreachable& unreachable)
{
    if (unreachable.pair != pair_id_ || !connection_)
        return;
    direct_->handle_unreachable(unreachable, connection_->driver());
    if (unreachable_at_ == never)
        unreachable_at_ = io::now();
    changed_.tell();
}

void AgentLink::handle_list(const std::vector<control::Agent>& agents)
{
    const auto agent = std::ranges::find(agents, agent_, &control::Agent::name);
    if (agent != agents.end())
        agent_nat_ = agent->nat.value_or("");
}

/// The answer is there when `status` asks next.
void AgentLink::ask_for_agent_nat()
{
    constexpr Duration shortest_interval = std::chrono::seconds{1};
    constexpr std::uint64_t request = 2; // not ClientNode::list()'s
    control::NodeSession* session = node_->session();
    const Instant now = io::now();
    if (session == nullptr || !session->is_established() ||
        now < agent_nat_asked_at_ + shortest_interval)
        return;
    agent_nat_asked_at_ = now;
    session->list(now, request);
    node_->wake();
}

void AgentLink::tell_punched(direct::CarriedPair& pair, std::uint32_t attempt, bool opened)
{
    control::NodeSession* session = node_->session();
    if (session == nullptr || !connection_ || &connection_->driver() != &pair)
        return;
    session->tell_punched(io::now(), {.pair = pair_id_, .attempt = attempt, .opened = opened});
    node_->wake();
    changed_.tell();
}

void AgentLink::meet(direct::CarriedPair& pair)
{
    control::NodeSession* session = node_->session();
    if (session == nullptr || !connection_ || &connection_->driver() != &pair)
        return;
    session->meet(io::now(), pair_id_);
    node_->wake();
}

void AgentLink::close()
{
    if (!connection_)
        return;
    connection_->driver().pair().close(io::now(), quic::h3_no_error);
    connection_->driver().settle();
    if (control::NodeSession* session = node_->session())
        session->release(io::now(), pair_id_);
    node_->wake();
}

net::awaitable<void> AgentLink::join()
{
    retire();
    for (const std::shared_ptr<Connection>& connection : retired_) {
        auto joining = connection->join();
        co_await std::move(joining);
    }
}

/// May streams be opened? With --direct only on a direct path, and from then on there is no other.
bool AgentLink::is_usable()
{
    if (!connection_ || !connection_->is_usable())
        return false;
    if (settings_->route != Route::direct)
        return true;
    if (!connection_->is_direct())
        return false;
    node_->detach(connection_->driver());
    return true;
}

net::awaitable<void> AgentLink::usable(Instant deadline)
{
    for (;;) {
        if (connection_ && connection_->is_over()) {
            const std::optional<quic::Closed> end = connection_->end();
            retire();
            if (end && end->reason == quic::Error::wrong_peer)
                throw Failure{ExitCode::gateway_unavailable,
                              fmt::format("agent \"{}\" has another key than the gateway "
                                          "announced: somebody sits in between",
                                          agent_)};
        }
        if (refused_) {
            const control::Refused refused = *std::exchange(refused_, std::nullopt);
            throw Failure{ExitCode::agent_unknown,
                          refused.reason == control::RefusalReason::no_such_agent
                              ? fmt::format("there is no agent \"{}\" for this client, or it is not "
                                            "connected; `narrowlink-client list` shows those "
                                            "that are",
                                            agent_)
                              : fmt::format("the gateway refused agent \"{}\": {}", agent_,
                                            refused.message)};
        }
        if (is_usable())
            co_return;
        if (!connection_)
            introduce();
        auto waiting = changed_.wait_until(std::min(deadline, hopeless_at()));
        bool late = false;
        try {
            co_await std::move(waiting);
        } catch (const boost::system::system_error& error) {
            if (error.code() != boost::system::errc::timed_out)
                throw;
            late = true;
        }
        if (late && io::now() >= std::min(deadline, hopeless_at()))
            throw timed_out();
    }
}

/// With --direct, when the gateway has said that there is no direct path. A router may still grant a port that
/// changes this.
Instant AgentLink::hopeless_at()
{
    constexpr Duration patience = std::chrono::seconds{5};
    if (settings_->route != Route::direct || unreachable_at_ == never || !connection_ ||
        !connection_->is_usable() || !direct_->is_unreachable(connection_->driver()))
        return never;
    return unreachable_at_ + patience;
}

Failure AgentLink::timed_out()
{
    const control::NodeSession* session = std::as_const(*node_).session();
    if (session == nullptr || !session->is_established())
        return {ExitCode::gateway_unavailable,
                last_trouble_.empty() ? "the gateway does not answer" : last_trouble_};
    if (connection_ && connection_->is_usable())
        return {ExitCode::no_direct_path,
                fmt::format("there is no direct path to agent \"{}\": {}", agent_,
                            direct_->obstacle(connection_->driver()))};
    return {ExitCode::agent_unknown,
            fmt::format("agent \"{}\" does not answer, although the gateway knows it", agent_)};
}

net::awaitable<void> AgentLink::ready(Instant deadline)
{
    auto waiting = usable(deadline);
    co_await std::move(waiting);
}

net::awaitable<LinkStream> AgentLink::open(quic::Request request, Instant deadline)
{
    for (;;) {
        auto waiting = usable(deadline);
        co_await std::move(waiting);
        std::shared_ptr<Connection> connection = connection_;
        const auto id = connection->driver().connection().open(request);
        if (!id && id.error() == quic::Error::too_many_streams) {
            auto change = changed_.wait_until(deadline);
            co_await std::move(change);
            continue;
        }
        if (!id)
            continue; // the connection has just ended
        LinkStream opened{connection, std::make_unique<drive::Stream>(connection->driver(), *id)};
        connection->driver().settle();

        std::optional<quic::Response> response;
        try {
            auto answering = opened.stream->response();
            auto bounded = io::with_deadline(deadline, std::move(answering));
            response = co_await std::move(bounded);
        } catch (const boost::system::system_error& error) {
            if (error.code() == net::error::operation_aborted)
                throw;
            if (error.code() == boost::system::errc::timed_out)
                throw Failure{ExitCode::target_timed_out,
                              fmt::format("agent \"{}\" gave no answer for {} in time", agent_,
                                          to_string(request.target))};
        }
        if (!response) {
            if (connection->is_over())
                continue; // the agent may be back as another process
            throw Failure{ExitCode::connection_lost,
                          fmt::format("agent \"{}\" gave up the connection to {}", agent_,
                                      to_string(request.target))};
        }
        if (response->is_success())
            co_return opened;
        throw refusal(agent_, request.target, *response);
    }
}

} // namespace narrowlink::client

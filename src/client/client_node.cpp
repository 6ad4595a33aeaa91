#include "client_node.hpp"

#include "narrowlink/drive/refusal_sentence.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/local_service.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/network_watch.hpp"
#include "narrowlink/io/together.hpp"

#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::client {
namespace {

/// How long a closing pair and its release get to reach the gateway.
constexpr Duration farewell = std::chrono::milliseconds{50};

/// While the gateway is away attempts are frequent, and ssh shows its user every line.
constexpr Duration same_trouble_interval = std::chrono::seconds{30};

/// Ends the watch over the session when the command has ended.
struct CommandEnded {};

} // namespace

ClientNode::ClientNode(net::any_io_executor executor, Settings settings, Random& random)
    : executor_{executor}
    , settings_{std::move(settings)}
    , random_{&random}
    , node_{executor, settings_.node, *this, random}
    , direct_{executor, control::Role::client, *this, random, settings_.port_mapping}
    , changed_{executor}
    , session_ended_{executor}
{
}

AgentLink& ClientNode::link_to(const std::string& agent)
{
    return link_.emplace(executor_, agent, settings_, node_, direct_, *random_);
}

net::awaitable<void> ClientNode::run(net::awaitable<void> command)
{
    // The session is no sibling of the command: it has to outlive it by a moment, to say goodbye.
    io::TaskScope session{executor_, [this](std::exception_ptr failure) {
                              session_failure_ = std::move(failure);
                              session_ended_.set();
                          }};
    session.spawn(run_node());
    io::TaskScope beside{executor_, [](const std::exception_ptr&) {}};
    if (link_ && !settings_.node.hello.features.empty())
        beside.spawn(direct_.run());
    beside.spawn(io::watch_network([this] {
        io::log_event(LogLevel::debug, "network_changed");
        node_.handle_network_changed();
        direct_.handle_network_changed();
    }));
    if (link_ && !settings_.status_socket.empty())
        beside.spawn(answer_status());
    std::exception_ptr failure;
    try {
        auto work = run_command(std::move(command));
        auto watch = watch_session();
        auto both = io::together(std::move(work), std::move(watch));
        co_await std::move(both);
    } catch (const CommandEnded&) {
    } catch (...) {
        failure = std::current_exception();
    }
    co_await net::this_coro::reset_cancellation_state(net::disable_cancellation());
    if (link_ && node_.session() != nullptr) {
        link_->close();
        net::steady_timer timer{executor_, farewell};
        co_await timer.async_wait(net::use_awaitable);
    }
    auto ending = session.join();
    co_await std::move(ending);
    auto ending_beside = beside.join();
    co_await std::move(ending_beside);
    if (link_) {
        auto joining = link_->join();
        co_await std::move(joining);
    }
    if (failure)
        std::rethrow_exception(failure);
}

net::awaitable<void> ClientNode::run_command(net::awaitable<void> command)
{
    co_await std::move(command);
    throw CommandEnded{};
}

/// A client that cannot be looked into works all the same.
net::awaitable<void> ClientNode::answer_status()
{
    std::optional<io::LocalService> service;
    ErrorCode trouble;
    try {
        if (const auto made =
                io::make_private_directory(settings_.status_socket.parent_path()); !made)
            throw boost::system::system_error{made.error()};
        service.emplace(executor_, settings_.status_socket, [this] { return link_->report(); });
    } catch (const boost::system::system_error& error) {
        trouble = error.code();
    }
    if (!service) {
        io::log_event(LogLevel::debug, "status_unavailable", "error", trouble);
        co_return;
    }
    auto running = service->run();
    co_await std::move(running);
}

net::awaitable<void> ClientNode::watch_session()
{
    co_await session_ended_.wait();
    std::rethrow_exception(session_failure_);
}

net::awaitable<void> ClientNode::run_node()
{
    std::optional<Failure> failure;
    try {
        auto running = node_.run();
        co_await std::move(running);
    } catch (const io::WebError& error) {
        failure.emplace(error.failure() == io::WebFailure::unauthorized
                            ? ExitCode::token_refused
                            : ExitCode::gateway_unavailable,
                        drive::refusal_sentence(error));
    } catch (const drive::SessionRefused& error) {
        failure.emplace(ExitCode::token_refused, error.what());
    }
    if (failure)
        throw *failure;
}

void ClientNode::handle_session(const control::NodeSession::Established& session)
{
    established_ = session;
    io::log_event(LogLevel::debug, "gateway_connected", "client", session.name, "user",
                  session.user, "session", session.session);
    if (link_)
        link_->handle_session();
    changed_.tell();
}

void ClientNode::handle_session_lost(const std::string& sentence, Duration wait)
{
    established_.reset();
    const Instant now = io::now();
    if (sentence != last_trouble_ || now >= repeat_trouble_at_) {
        io::log_event(LogLevel::warning, "gateway_lost", "reason", sentence, "retry_in", wait);
        last_trouble_ = sentence;
        repeat_trouble_at_ = now + same_trouble_interval;
    }
    if (link_)
        link_->handle_session_lost(sentence);
    changed_.tell();
}

void ClientNode::handle_session_event(const control::NodeSession::Event& event)
{
    if (const auto* list = std::get_if<control::NodeSession::AgentList>(&event)) {
        if (link_)
            link_->handle_list(list->agents);
        list_ = *list;
        changed_.tell();
        return;
    }
    if (!link_)
        return;
    if (const auto* observe = std::get_if<control::Observe>(&event)) {
        if (const auto gateway = node_.gateway_address()) {
            direct_.observe(*observe, *gateway);
            node_.session()->tell_candidates(io::now(), direct_.candidates());
            node_.wake();
        }
    } else if (const auto* survey = std::get_if<control::SurveyRequest>(&event))
        direct_.survey(*survey);
    else if (const auto* nat = std::get_if<control::NatDescription>(&event))
        direct_.handle_nat(*nat);
    else if (const auto* punch = std::get_if<control::Punch>(&event))
        link_->handle_punch(*punch);
    else if (const auto* aim = std::get_if<control::Aim>(&event))
        link_->handle_aim(*aim);
    else if (const auto* unreachable = std::get_if<control::Unreachable>(&event))
        link_->handle_unreachable(*unreachable);
    else if (const auto* relay = std::get_if<control::UdpRelay>(&event))
        link_->handle_udp_relay(*relay);
    else if (const auto* introduced = std::get_if<control::Introduced>(&event))
        link_->handle_introduced(*introduced);
    else if (const auto* refused = std::get_if<control::Refused>(&event))
        link_->handle_refused(*refused);
    else if (const auto* interrupted = std::get_if<control::Interrupted>(&event))
        link_->handle_interrupted(interrupted->pair);
    else if (const auto* released = std::get_if<control::Released>(&event))
        link_->handle_released(released->pair);
}

void ClientNode::handle_meeting_due(direct::CarriedPair& pair)
{
    if (link_)
        link_->meet(pair);
}

void ClientNode::handle_punched(direct::CarriedPair& pair, std::uint32_t attempt, bool opened)
{
    if (link_)
        link_->tell_punched(pair, attempt, opened);
}

void ClientNode::handle_addresses_changed()
{
    if (control::NodeSession* session = node_.session()) {
        session->tell_candidates(io::now(), direct_.candidates());
        node_.wake();
    }
}

void ClientNode::handle_survey_answer(const control::SurveyAnswer& answer)
{
    if (control::NodeSession* session = node_.session()) {
        session->tell(io::now(), answer);
        node_.wake();
    }
}

net::awaitable<control::NodeSession::Established> ClientNode::established(Instant deadline)
{
    while (!established_) {
        auto waiting = changed_.wait_until(deadline);
        co_await std::move(waiting);
    }
    co_return *established_;
}

net::awaitable<std::vector<control::Agent>> ClientNode::list(Instant deadline)
{
    auto waiting = established(deadline);
    co_await std::move(waiting);
    node_.session()->list(io::now(), 1);
    node_.wake();
    while (!list_) {
        auto answer = changed_.wait_until(deadline);
        co_await std::move(answer);
    }
    co_return std::move(list_->agents);
}

} // namespace narrowlink::client

#include "hub.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/together.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

/// A revoked token is cut off within this and a little.
constexpr Duration revocation_interval = std::chrono::milliseconds{250};

} // namespace

Hub::Hub(net::any_io_executor executor, const control::Registry::Config& config,
         const control::Rendezvous::Config& rendezvous, Authority& authority, Random& random)
    : executor_{executor}
    , registry_{config}
    , rendezvous_{rendezvous, random}
    , authority_{&authority}
    , timer_changed_{executor}
{
}

void Hub::post_hello(std::shared_ptr<Session> session, control::Role role,
                     control::Registry::Node node, ClientPolicies policies,
                     UdpAbilities abilities)
{
    net::post(executor_, [this, session = std::move(session), role, node = std::move(node),
                          policies = std::move(policies), abilities]() mutable {
        add(std::move(session), role, std::move(node), std::move(policies), abilities);
    });
}

void Hub::post_message(control::SessionId session, control::Message message)
{
    net::post(executor_, [this, session, message = std::move(message)] {
        registry_.handle(io::now(), session, message);
        rendezvous_.handle(io::now(), session, message);
        drain();
    });
}

void Hub::post_end(control::SessionId session)
{
    net::post(executor_, [this, session] {
        rendezvous_.remove_session(session);
        datagrams_.remove_session(session);
        registry_.remove(io::now(), session);
        drain();
        sessions_.erase(session);
    });
}

void Hub::post_rtt(control::SessionId session, Duration rtt)
{
    net::post(executor_, [this, session, rtt] { rendezvous_.handle_rtt(session, rtt); });
}

void Hub::send_datagrams_with(std::function<void(const control::Rendezvous::Transmit&)> send)
{
    send_datagram_ = std::move(send);
}

std::optional<nat::ProbePacket> Hub::handle_datagram(const control::Rendezvous::Arrival& arrival,
                                                     Bytes datagram)
{
    auto answer = rendezvous_.handle_datagram(io::now(), arrival, datagram);
    if (answer || rendezvous_.has_output()) // else a stranger's: it costs no more than looking at it
        drain();
    return answer;
}

void Hub::add(std::shared_ptr<Session> session, control::Role role, control::Registry::Node node,
              ClientPolicies policies, UdpAbilities abilities)
{
    const auto tell = [&session](auto task) { net::post(session->executor(), std::move(task)); };
    if (stopping_) {
        tell([session] {
            session->refuse(control::ClosingReason::shutdown, "the gateway is stopping");
        });
        return;
    }
    const std::string name = node.name;
    const std::string user = node.user;
    const std::string software = node.software;
    const Result<> added =
        role == control::Role::agent
            ? registry_.add_agent(io::now(), session->id(), std::move(node))
            : registry_.add_client(io::now(), session->id(), std::move(node),
                                   std::move(policies.policies));
    if (!added) {
        tell([session, text = added.error().message()] {
            session->refuse(control::ClosingReason::limit, text);
        });
        return;
    }
    io::log_event(LogLevel::info, "node_connected", "role", control::to_string(role), "name", name,
                  "user", user, "session", static_cast<std::uint64_t>(session->id()), "software",
                  software);
    sessions_.emplace(session->id(), Known{session, std::move(policies.token_ids)});
    tell([session] { session->accept(); });
    if (abilities.relays)
        datagrams_.add_session(session->id());
    if (abilities.any())
        rendezvous_.add_session(io::now(), session->id(), role,
                                fmt::format("{} {} {}", control::to_string(role), user, name),
                                {.direct = abilities.punches,
                                 .mapping_lifetime = abilities.tells_lifetime});
    drain();
}

std::shared_ptr<Session> Hub::find(control::SessionId id)
{
    const auto it = sessions_.find(id);
    return it == sessions_.end() ? nullptr : it->second.session;
}

void Hub::drain()
{
    while (const auto action = registry_.poll_action())
        std::visit([this](const auto& a) { act(a); }, *action);
    while (auto message = rendezvous_.poll_message()) {
        if (const auto* nat = std::get_if<control::NatDescription>(&message->message))
            describe_nat(message->to, *nat);
        send(message->to, std::move(message->message));
    }
    while (const auto proved = rendezvous_.poll_proved())
        datagrams_.handle_place(io::now(), proved->session, {proved->address, proved->at});
    while (auto message = datagrams_.poll_message())
        send(message->to, std::move(message->message));
    while (const auto transmit = rendezvous_.poll_transmit())
        if (send_datagram_)
            send_datagram_(*transmit);
    timer_changed_.set();
}

void Hub::describe_nat(control::SessionId id, const control::NatDescription& nat)
{
    const auto session = sessions_.find(id);
    if (session == sessions_.end())
        return;
    Known& known = session->second;
    (nat.family == control::Family::v4 ? known.nat_v4 : known.nat_v6) = nat.text;
    std::string text = known.nat_v4;
    if (!known.nat_v6.empty())
        text += fmt::format("{}IPv6: {}", text.empty() ? "" : "; ", known.nat_v6);
    registry_.describe_nat(id, std::move(text));
    io::log_event(LogLevel::debug, "nat_surveyed", "session", static_cast<std::uint64_t>(id),
                  "family", static_cast<unsigned>(nat.family), "nat", nat.text);
}

void Hub::act(const control::Registry::Send& send)
{
    this->send(send.to, send.message);
}

void Hub::act(const control::Registry::PairUp& pair)
{
    rendezvous_.add_pair(io::now(), {pair.client_key, pair.id}, pair.client, pair.agent);
    datagrams_.add_pair(io::now(), {pair.client_key, pair.id}, pair.client, pair.agent);
}

void Hub::act(const control::Registry::PairDown& pair)
{
    rendezvous_.remove_pair({pair.client_key, pair.id});
    datagrams_.remove_pair({pair.client_key, pair.id});
}

void Hub::send(control::SessionId to, control::Message message)
{
    if (auto session = find(to))
        net::post(session->executor(),
                  [session, message = std::move(message)] { session->send(message); });
}

void Hub::act(const control::Registry::Route& route)
{
    auto from = find(route.from);
    auto to = find(route.to);
    if (from && to)
        net::post(from->executor(),
                  [from, to, handle = route.handle_at_from, handle_at_to = route.handle_at_to] {
                      from->add_route(handle, to, handle_at_to);
                  });
}

void Hub::act(const control::Registry::Unroute& unroute)
{
    if (auto session = find(unroute.session))
        net::post(session->executor(),
                  [session, handle = unroute.handle] { session->remove_route(handle); });
}

void Hub::act(const control::Registry::Close& close)
{
    if (auto session = find(close.session))
        net::post(session->executor(), [session, reason = close.reason, text = close.message] {
            session->close(reason, text);
        });
}

void Hub::revoke(const std::vector<std::string>& tokens)
{
    for (const std::string& token : tokens) {
        io::log_event(LogLevel::info, "token_revoked", "token", token);
        registry_.revoke(io::now(), token);
        for (const auto& [id, known] : sessions_)
            if (std::ranges::find(known.policy_tokens, token) != known.policy_tokens.end())
                registry_.close(io::now(), id, control::ClosingReason::revoked,
                                "a policy token of this client was revoked");
    }
    drain();
}

void Hub::shut_down()
{
    stopping_ = true;
    for (const auto& [id, known] : sessions_)
        net::post(known.session->executor(), [session = known.session] {
            session->close(control::ClosingReason::shutdown, "the gateway is stopping");
        });
}

net::awaitable<void> Hub::run()
{
    auto timers = timer_loop();
    auto revocations = revocation_loop();
    auto both = io::together(std::move(timers), std::move(revocations));
    co_await std::move(both);
}

net::awaitable<void> Hub::timer_loop()
{
    for (;;) {
        auto waiting = timer_changed_.wait_until(std::min(registry_.deadline(), rendezvous_.deadline()));
        if (co_await std::move(waiting))
            continue;
        registry_.handle_timeout(io::now());
        rendezvous_.handle_timeout(io::now());
        drain();
    }
}

net::awaitable<void> Hub::revocation_loop()
{
    net::steady_timer timer{executor_};
    for (;;) {
        timer.expires_after(revocation_interval);
        co_await timer.async_wait(net::use_awaitable);
        if (const auto revoked = authority_->reload(); !revoked.empty())
            revoke(revoked);
    }
}

} // namespace narrowlink::gateway

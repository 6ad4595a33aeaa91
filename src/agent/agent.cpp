// Theory of operation
//
// The gateway introduces clients. A pair is known by the client's key and the PairId the client
// chose, so a client that comes back (its session or ours was lost, the gateway was restarted)
// finds its QUIC connection and with it every stream. A pair ends when the client releases it,
// when its connection closes, or when no carrier was there for the pair's resume window.
//
// Pairs that are over are joined and destroyed by reap_loop(), never from within an event of theirs.

#include "narrowlink/agent/agent.hpp"

#include "served_pair.hpp"

#include "narrowlink/control/relay_tag.hpp"
#include "narrowlink/drive/direct_node.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/network_watch.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <map>
#include <utility>

namespace narrowlink::agent {

class Agent::Impl final : public drive::RelayNode::Owner, public drive::DirectNode::Owner {
public:
    Impl(net::any_io_executor executor, Settings settings, Random& random,
         std::function<void(bool)> on_session)
        : executor_{executor}
        , settings_{std::move(settings)}
        , random_{&random}
        , on_session_{std::move(on_session)}
        , node_{executor, settings_.node, *this, random}
        , direct_{executor, control::Role::agent, *this, random, settings_.port_mapping}
        , closed_pairs_{executor}
        , scope_{executor, [](const std::exception_ptr&) {}}
    {
    }

    net::awaitable<void> run();

private:
    struct PairKey {
        crypto::Pin client;
        wire::PairId id;

        auto operator<=>(const PairKey&) const = default;
    };

    static constexpr std::size_t most_pairs = 1'024;
    /// While the gateway is away attempts may be frequent.
    static constexpr Duration same_trouble_interval = std::chrono::seconds{30};

    void handle_session(const control::NodeSession::Established&) override;
    void handle_session_lost(const std::string& sentence, Duration wait) override;
    void handle_session_event(const control::NodeSession::Event&) override;

    void handle_meeting_due(direct::CarriedPair&) override {} // the client asks
    void handle_survey_answer(const control::SurveyAnswer&) override;
    void handle_addresses_changed() override;
    void handle_punched(direct::CarriedPair&, std::uint32_t, bool) override {} // the client tells

    void introduce(const control::Introduction&);
    ServedPair* find(const wire::PairId&, const std::optional<crypto::Pin>& client);
    net::awaitable<void> run_node();
    net::awaitable<void> reap_loop();
    net::awaitable<void> reap(bool all);

    net::any_io_executor executor_;
    Settings settings_;
    Random* random_;
    std::function<void(bool)> on_session_;
    std::string name_;
    std::string last_trouble_;
    Instant repeat_trouble_at_{};
    std::map<PairKey, std::unique_ptr<ServedPair>> pairs_;
    drive::RelayNode node_;
    drive::DirectNode direct_;
    io::Event closed_pairs_;
    io::TaskScope scope_;
};

Agent::Agent(net::any_io_executor executor, Settings settings, Random& random,
             std::function<void(bool)> on_session)
    : impl_{std::make_unique<Impl>(std::move(executor), std::move(settings), random,
                                   std::move(on_session))}
{
}

Agent::~Agent() = default;

net::awaitable<void> Agent::run()
{
    return impl_->run();
}

net::awaitable<void> Agent::Impl::run()
{
    auto body = run_node();
    auto running = scope_.run(std::move(body));
    co_await std::move(running);
}

net::awaitable<void> Agent::Impl::run_node()
{
    scope_.spawn(reap_loop());
    scope_.spawn(direct_.run());
    scope_.spawn(io::watch_network([this] {
        io::log_event(LogLevel::info, "network_changed");
        node_.handle_network_changed();
        direct_.handle_network_changed();
    }));
    std::exception_ptr failure;
    try {
        auto running = node_.run();
        co_await std::move(running);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await net::this_coro::reset_cancellation_state(net::disable_cancellation());
    auto reaping = reap(true);
    co_await std::move(reaping);
    if (failure)
        std::rethrow_exception(failure);
}

void Agent::Impl::handle_session(const control::NodeSession::Established& session)
{
    name_ = session.name;
    last_trouble_.clear();
    io::log_event(LogLevel::info, "gateway_connected", "agent", session.name, "user", session.user,
                  "session", session.session);
    on_session_(true);
}

void Agent::Impl::handle_session_lost(const std::string& sentence, Duration wait)
{
    const Instant now = io::now();
    if (sentence != last_trouble_ || now >= repeat_trouble_at_) {
        io::log_event(LogLevel::warning, "gateway_lost", "reason", sentence, "retry_in", wait);
        last_trouble_ = sentence;
        repeat_trouble_at_ = now + same_trouble_interval;
    }
    on_session_(false);
}

void Agent::Impl::handle_session_event(const control::NodeSession::Event& event)
{
    if (const auto* introduction = std::get_if<control::Introduction>(&event)) {
        introduce(*introduction);
    } else if (const auto* interrupted = std::get_if<control::Interrupted>(&event)) {
        if (ServedPair* pair = find(interrupted->pair, interrupted->client_key))
            node_.detach(pair->driver());
    } else if (const auto* released = std::get_if<control::Released>(&event)) {
        if (ServedPair* pair = find(released->pair, released->client_key))
            pair->close();
    } else if (const auto* observe = std::get_if<control::Observe>(&event)) {
        if (const auto gateway = node_.gateway_address()) {
            direct_.observe(*observe, *gateway);
            node_.session()->tell_candidates(io::now(), direct_.candidates());
            node_.wake();
        }
    } else if (const auto* survey = std::get_if<control::SurveyRequest>(&event)) {
        direct_.survey(*survey);
    } else if (const auto* nat = std::get_if<control::NatDescription>(&event)) {
        direct_.handle_nat(*nat);
    } else if (const auto* punch = std::get_if<control::Punch>(&event)) {
        if (ServedPair* pair = find(punch->pair, punch->client_key))
            direct_.punch(*punch, pair->driver());
    } else if (const auto* relay = std::get_if<control::UdpRelay>(&event)) {
        if (ServedPair* pair = find(relay->pair, relay->client_key))
            direct_.relay(pair->driver(), control::relay_tag(control::Role::agent,
                                                             *relay->client_key, relay->pair));
    } else if (const auto* aim = std::get_if<control::Aim>(&event)) {
        if (ServedPair* pair = find(aim->pair, aim->client_key))
            direct_.aim(*aim, pair->driver());
    }
}

void Agent::Impl::handle_addresses_changed()
{
    if (auto* session = node_.session()) {
        session->tell_candidates(io::now(), direct_.candidates());
        node_.wake();
    }
}

void Agent::Impl::handle_survey_answer(const control::SurveyAnswer& answer)
{
    if (auto* session = node_.session()) {
        session->tell(io::now(), answer);
        node_.wake();
    }
}

void Agent::Impl::introduce(const control::Introduction& introduction)
{
    const PairKey key{introduction.key, introduction.pair};
    auto it = pairs_.find(key);
    if (it != pairs_.end() && it->second->is_closed())
        return; // its successor will come under another PairId
    if (it == pairs_.end()) {
        if (pairs_.size() >= most_pairs) {
            io::log_event(LogLevel::warning, "pair_refused", "client", introduction.client,
                          "reason", "too many pairs");
            return;
        }
        it = pairs_
                 .emplace(key, std::make_unique<ServedPair>(
                                   executor_, settings_, name_, introduction, *random_,
                                   [this](std::optional<path::CarrierKind> kind) {
                                       node_.wake(kind);
                                       direct_.wake(kind);
                                   },
                                   [this] { node_.show_up(); },
                                   [this] { closed_pairs_.set(); }))
                 .first;
    }
    it->second->update(introduction);
    node_.attach(introduction.handle, it->second->driver());
}

ServedPair* Agent::Impl::find(const wire::PairId& id, const std::optional<crypto::Pin>& client)
{
    if (!client)
        return nullptr;
    const auto it = pairs_.find({*client, id});
    return it == pairs_.end() ? nullptr : it->second.get();
}

net::awaitable<void> Agent::Impl::reap_loop()
{
    for (;;) {
        co_await closed_pairs_.wait();
        auto reaping = reap(false);
        co_await std::move(reaping);
    }
}

net::awaitable<void> Agent::Impl::reap(bool all)
{
    for (auto it = pairs_.begin(); it != pairs_.end();) {
        if (!all && !it->second->is_closed()) {
            ++it;
            continue;
        }
        const PairKey key = it->first;
        node_.detach(it->second->driver());
        direct_.forget(it->second->driver());
        if (auto* session = node_.session(); session != nullptr && !all) {
            session->release(io::now(), key.id, key.client);
            node_.wake();
        }
        std::unique_ptr<ServedPair> pair = std::move(it->second);
        pairs_.erase(it);
        auto joining = pair->join();
        co_await std::move(joining);
        it = pairs_.upper_bound(key); // the map may have changed meanwhile
    }
}

} // namespace narrowlink::agent

// Theory of operation
//
// src/agent/agent.cpp, src/agent/served_pair.cpp and src/client/agent_link.cpp without sockets: the
// same reactions to the same events. Both nodes die without a word when they are destroyed, as with
// kill -9.

#include "nodes.hpp"

#include "narrowlink/control/relay_tag.hpp"

#include <utility>

namespace narrowlink::sim {
namespace {

constexpr Duration longest_dial = milliseconds{30};

control::Hello hello_of(World& world, const NodeSettings& settings)
{
    std::vector<std::string> features;
    if (settings.host != nullptr)
        features.emplace_back(control::direct_feature);
    if (settings.host != nullptr && settings.relays_over_udp)
        features.emplace_back(control::udp_relay_feature);
    return {.features = std::move(features),
            .key = settings.person->pin,
            .instance = {world.cores.array<16>()},
            .software = "narrowlink/sim",
            .policies = {}};
}

/// The target's port names the conversation.
HostPort target_of(const Conversation& conversation)
{
    return {"target.test", static_cast<std::uint16_t>(conversation.plan.id)};
}

} // namespace

const Person& person(std::size_t number)
{
    static std::map<std::size_t, Person> people;
    if (const auto known = people.find(number); known != people.end())
        return known->second;
    Dice dice{number};
    const auto identity =
        crypto::Identity::make_ed25519(UnixTime{seconds{1'700'000'000}}, dice).value();
    return people[number] = {quic::Credentials::load(identity).value(), identity.pin};
}

// ---- agent

path::Pair::Config config_for(path::Pair::Config config, const control::Introduction& introduction)
{
    config.quic.id_prefix =
        control::relay_tag(control::Role::agent, introduction.key, introduction.pair);
    return config;
}

class AgentNode::ServedPair final : public PairDriver::Owner {
public:
    ServedPair(AgentNode& agent, const control::Introduction& introduction)
        : agent_{agent}
        , driver_{std::make_shared<PairDriver>(
              agent.world_,
              path::Pair::server(config_for(agent.settings_.pair, introduction),
                                 {agent.settings_.person->credentials, introduction.key},
                                 agent.world_.now(), agent.world_.cores),
              *this, [&agent](auto kind) { agent.wake(kind); })}
    {
    }

    PairDriver& driver() { return *driver_; }

    void close()
    {
        driver_->pair().close(agent_.world_.now(), quic::h3_no_error);
        driver_->settle();
    }

    void kill()
    {
        for (const auto& talk : talks_)
            talk->kill();
    }

private:
    void handle_path_quiet() override { agent_.node_.show_up(); }

    void handle_request(quic::StreamId id, const quic::Request& request) override
    {
        agent_.world_.after(agent_.world_.network.between(Duration{}, longest_dial), life_,
                            [this, id, request] { serve(id, request); });
    }

    void handle_closed(const quic::Closed& closed) override
    {
        agent_.world_.note("{}: pair closed: {} {}", agent_.settings_.claims.name,
                           closed.reason.message(), closed.detail);
        agent_.world_.post(agent_.life_, [&agent = agent_] { agent.reap(); });
    }

    void serve(quic::StreamId id, const quic::Request& request)
    {
        const auto found = agent_.conversations_.find(request.target.port);
        if (found == agent_.conversations_.end() ||
            (request.kind == quic::Request::Kind::udp) !=
                (found->second.plan.kind == Plan::Kind::udp)) {
            agent_.world_.fail("a request arrived changed");
            return;
        }
        Conversation& conversation = found->second;
        conversation.reached_agent = true;
        if (conversation.plan.refused) {
            conversation.agent->ending = Ending::refused;
            driver_->connection().respond(
                id, {.status = 502, .proxy_status = "narrowlink; error=connection_refused"});
            driver_->connection().release(id);
            driver_->settle();
            return;
        }
        conversation.agent = std::make_shared<Conversation::End>();
        talks_.push_back(nullptr);
        const auto place = std::prev(talks_.end());
        *place = Talk::make(agent_.world_, {driver_, id}, Talk::Side::agent, conversation,
                            [this, place] { talks_.erase(place); });
        driver_->connection().respond(id, {});
        driver_->settle();
        (*place)->start();
    }

    AgentNode& agent_;
    std::shared_ptr<PairDriver> driver_;
    std::list<std::unique_ptr<Talk>> talks_;
    Life life_;
};

AgentNode::AgentNode(World& world, Gateway& gateway, Access& access, NodeSettings settings,
                     Conversations& conversations)
    : world_{world}
    , settings_{std::move(settings)}
    , conversations_{conversations}
    , node_{world, gateway, access, settings_.claims, hello_of(world, settings_), *this}
{
    DirectNode::Owner& owner = *this;
    if (settings_.host != nullptr)
        direct_ = std::make_unique<DirectNode>(world, *settings_.host, control::Role::agent, owner);
    node_.start();
}

AgentNode::~AgentNode()
{
    for (const auto& [key, pair] : pairs_)
        pair->kill();
    pairs_.clear();
}

void AgentNode::handle_session_event(const control::NodeSession::Event& event)
{
    if (const auto* introduction = std::get_if<control::Introduction>(&event)) {
        introduce(*introduction);
    } else if (const auto* interrupted = std::get_if<control::Interrupted>(&event)) {
        if (ServedPair* pair = find(interrupted->pair, interrupted->client_key))
            node_.detach(pair->driver());
    } else if (const auto* released = std::get_if<control::Released>(&event)) {
        if (ServedPair* pair = find(released->pair, released->client_key))
            pair->close();
    } else if (direct_) {
        handle_direct_event(event);
    }
}

void AgentNode::handle_direct_event(const control::NodeSession::Event& event)
{
    if (const auto* observe = std::get_if<control::Observe>(&event)) {
        direct_->observe(*observe);
        node_.session()->tell_candidates(world_.now(), direct_->candidates());
        node_.wake();
    } else if (const auto* survey = std::get_if<control::SurveyRequest>(&event)) {
        direct_->survey(*survey);
    } else if (const auto* nat = std::get_if<control::NatDescription>(&event)) {
        direct_->handle_nat(*nat);
    } else if (const auto* punch = std::get_if<control::Punch>(&event)) {
        if (ServedPair* pair = find(punch->pair, punch->client_key))
            direct_->punch(*punch, pair->driver());
    } else if (const auto* aim = std::get_if<control::Aim>(&event)) {
        if (ServedPair* pair = find(aim->pair, aim->client_key))
            direct_->aim(*aim, pair->driver());
    } else if (const auto* relay = std::get_if<control::UdpRelay>(&event)) {
        if (ServedPair* pair = find(relay->pair, relay->client_key))
            direct_->relay(pair->driver(), control::relay_tag(control::Role::agent,
                                                              *relay->client_key, relay->pair));
    }
}

void AgentNode::handle_survey_answer(const control::SurveyAnswer& answer)
{
    if (auto* session = node_.session()) {
        session->tell(world_.now(), answer);
        node_.wake();
    }
}

void AgentNode::handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened& opened)
{
    world_.note("{}: way opened to {}", settings_.claims.name, to_string(opened.remote.address));
}

void AgentNode::handle_network_changed()
{
    node_.handle_network_changed();
    if (!direct_)
        return;
    direct_->handle_network_changed();
    if (auto* session = node_.session())
        session->tell_candidates(world_.now(), direct_->candidates());
}

void AgentNode::wake(std::optional<path::CarrierKind> kind)
{
    node_.wake(kind);
    if (direct_)
        direct_->wake(kind);
}

void AgentNode::introduce(const control::Introduction& introduction)
{
    const PairKey key{introduction.key, introduction.pair};
    auto it = pairs_.find(key);
    if (it != pairs_.end() && it->second->driver().is_closed())
        return;
    if (it == pairs_.end())
        it = pairs_.emplace(key, std::make_unique<ServedPair>(*this, introduction)).first;
    world_.note("{}: {} introduced", settings_.claims.name, introduction.client);
    node_.attach(introduction.handle, it->second->driver());
}

AgentNode::ServedPair* AgentNode::find(const wire::PairId& id,
                                       const std::optional<crypto::Pin>& client)
{
    const auto it = client ? pairs_.find({*client, id}) : pairs_.end();
    return it == pairs_.end() ? nullptr : it->second.get();
}

void AgentNode::reap()
{
    for (auto it = pairs_.begin(); it != pairs_.end();) {
        if (!it->second->driver().is_closed()) {
            ++it;
            continue;
        }
        node_.detach(it->second->driver());
        if (direct_)
            direct_->forget(it->second->driver());
        if (auto* session = node_.session()) {
            session->release(world_.now(), it->first.id, it->first.client);
            node_.wake();
        }
        it = pairs_.erase(it);
    }
}

// ---- client

class ClientNode::AgentConnection final : public PairDriver::Owner {
public:
    AgentConnection(ClientNode& client, path::Pair pair)
        : client_{client}
        , driver_{std::make_shared<PairDriver>(client.world_, std::move(pair), *this,
                                               [&client](auto kind) { client.wake(kind); })}
    {
    }

    [[nodiscard]] const std::shared_ptr<PairDriver>& driver() const { return driver_; }

private:
    void handle_connected() override { tell(); }

    void handle_streams_available() override { tell(); }

    void handle_path_changed(const path::PathChanged& change) override
    {
        constexpr auto direct = path::CarrierKind::direct_udp;
        const bool better = change.reason == path::ChangeReason::better;
        client_.upgrades_ += better && change.carrier == direct ? 1 : 0;
        client_.onto_udp_relay_ += change.carrier == path::CarrierKind::udp_relay ? 1 : 0;
        client_.downgrades_ += client_.path_ == direct && change.carrier != direct ? 1 : 0;
        client_.path_ = change.carrier;
        client_.world_.note("{}: path {}, {}", client_.settings_.claims.name,
                            change.carrier ? path::to_string(*change.carrier) : "none",
                            path::to_string(change.reason));
    }

    void handle_closed(const quic::Closed& closed) override
    {
        client_.world_.note("{}: pair closed: {} {}", client_.settings_.claims.name,
                            closed.reason.message(), closed.detail);
        tell();
    }

    void tell()
    {
        client_.world_.post(client_.life_, [&client = client_] { client.open_pending(); });
    }

    ClientNode& client_;
    std::shared_ptr<PairDriver> driver_;
};

ClientNode::ClientNode(World& world, Gateway& gateway, Access& access, NodeSettings settings,
                       std::string agent, std::optional<wire::PairId> first_pair_id)
    : world_{world}
    , settings_{std::move(settings)}
    , agent_{std::move(agent)}
    , node_{world, gateway, access, settings_.claims, hello_of(world, settings_), *this}
    , pair_id_{first_pair_id.value_or(wire::PairId{world.cores.array<16>()})}
{
    DirectNode::Owner& owner = *this;
    if (settings_.host != nullptr)
        direct_ =
            std::make_unique<DirectNode>(world, *settings_.host, control::Role::client, owner);
    node_.start();
}

ClientNode::~ClientNode()
{
    for (const auto& talk : talks_)
        talk->kill();
    for (Conversation* conversation : pending_)
        conversation->client->ending = Ending::killed;
    talks_.clear();
    connection_.reset();
}

void ClientNode::open(Conversation& conversation)
{
    conversation.last_progress = world_.true_now();
    conversation.started = true;
    pending_.push_back(&conversation);
    open_pending();
}

void ClientNode::open_pending()
{
    if (connection_ && connection_->driver()->is_closed())
        retire();
    if (!connection_ && !closing_)
        introduce();
    while (connection_ && !pending_.empty()) {
        Conversation& conversation = *pending_.front();
        const auto kind = conversation.plan.kind == Plan::Kind::udp ? quic::Request::Kind::udp
                                                                    : quic::Request::Kind::tcp;
        const std::shared_ptr<AgentConnection> connection = connection_;
        const auto id = connection->driver()->connection().open({kind, target_of(conversation)});
        if (!id)
            return;
        pending_.pop_front();
        conversation.last_progress = world_.true_now();
        talks_.push_back(nullptr);
        const auto place = std::prev(talks_.end());
        // The driver's owner has to stay for as long as the driver.
        const std::shared_ptr<PairDriver> driver{connection, connection->driver().get()};
        *place = Talk::make(world_, {driver, *id}, Talk::Side::client, conversation, [this, place] {
            const std::unique_ptr<Talk> talk = std::move(*place);
            talks_.erase(place);
            finish(*talk);
        });
        driver->settle();
    }
}

/// A request whose pair was lost before any answer is made again.
void ClientNode::finish(Talk& talk)
{
    Conversation& conversation = talk.conversation();
    if (conversation.client->ending != Ending::lost || talk.has_started())
        return;
    conversation.client = std::make_shared<Conversation::End>();
    pending_.push_back(&conversation);
    world_.post(life_, [this] { open_pending(); });
}

void ClientNode::introduce()
{
    control::NodeSession* session = node_.session();
    if (session == nullptr || !session->is_established() || introducing_)
        return;
    introducing_ = true;
    session->introduce(world_.now(), 1, agent_, pair_id_, pair_existed_);
    node_.wake();
}

void ClientNode::retire()
{
    if (connection_) {
        node_.detach(*connection_->driver());
        if (direct_)
            direct_->forget(*connection_->driver());
    }
    connection_.reset();
    pair_id_ = wire::PairId{world_.cores.array<16>()};
    pair_existed_ = false;
    introducing_ = false;
    instance_.reset();
}

void ClientNode::handle_session(const control::NodeSession::Established&)
{
    introducing_ = false;
    if (!closing_)
        introduce();
}

void ClientNode::handle_session_event(const control::NodeSession::Event& event)
{
    if (const auto* introduced = std::get_if<control::Introduced>(&event)) {
        handle_introduced(*introduced);
    } else if (std::holds_alternative<control::Refused>(event)) {
        world_.note("{}: refused", settings_.claims.name);
        introducing_ = false;
        close_pair();
        retire();
        // A command would end here; these applications are stubborn.
        world_.after(milliseconds{200}, life_, [this] { open_pending(); });
    } else if (const auto* interrupted = std::get_if<control::Interrupted>(&event)) {
        if (interrupted->pair != pair_id_)
            return;
        introducing_ = false;
        if (connection_)
            node_.detach(*connection_->driver());
    } else if (const auto* released = std::get_if<control::Released>(&event)) {
        if (released->pair != pair_id_)
            return;
        close_pair();
        retire();
        world_.post(life_, [this] { open_pending(); });
    } else if (direct_) {
        handle_direct_event(event);
    }
}

void ClientNode::handle_direct_event(const control::NodeSession::Event& event)
{
    const auto is_ours = [this](const auto& message) {
        return message.pair == pair_id_ && connection_;
    };
    if (const auto* observe = std::get_if<control::Observe>(&event)) {
        direct_->observe(*observe);
        node_.session()->tell_candidates(world_.now(), direct_->candidates());
        node_.wake();
    } else if (const auto* survey = std::get_if<control::SurveyRequest>(&event)) {
        direct_->survey(*survey);
    } else if (const auto* nat = std::get_if<control::NatDescription>(&event)) {
        direct_->handle_nat(*nat);
    } else if (const auto* punch = std::get_if<control::Punch>(&event)) {
        if (is_ours(*punch))
            direct_->punch(*punch, *connection_->driver());
    } else if (const auto* aim = std::get_if<control::Aim>(&event)) {
        if (is_ours(*aim))
            direct_->aim(*aim, *connection_->driver());
    } else if (const auto* unreachable = std::get_if<control::Unreachable>(&event)) {
        if (is_ours(*unreachable))
            direct_->handle_unreachable(*unreachable, *connection_->driver());
    } else if (const auto* relay = std::get_if<control::UdpRelay>(&event)) {
        if (is_ours(*relay))
            direct_->relay(*connection_->driver(),
                           control::relay_tag(control::Role::client, settings_.person->pin,
                                              relay->pair));
    }
}

void ClientNode::handle_meeting_due(direct::CarriedPair& pair)
{
    control::NodeSession* session = node_.session();
    if (session == nullptr || !connection_ || connection_->driver().get() != &pair)
        return;
    session->meet(world_.now(), pair_id_);
    node_.wake();
}

void ClientNode::handle_survey_answer(const control::SurveyAnswer& answer)
{
    if (auto* session = node_.session()) {
        session->tell(world_.now(), answer);
        node_.wake();
    }
}

void ClientNode::handle_punched(direct::CarriedPair& pair, std::uint32_t attempt, bool opened)
{
    control::NodeSession* session = node_.session();
    if (session == nullptr || !connection_ || connection_->driver().get() != &pair)
        return;
    session->tell_punched(world_.now(), {.pair = pair_id_, .attempt = attempt, .opened = opened});
    node_.wake();
}

void ClientNode::handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened& opened)
{
    world_.note("{}: way opened to {}", settings_.claims.name, to_string(opened.remote.address));
}

void ClientNode::handle_network_changed()
{
    node_.handle_network_changed();
    if (!direct_)
        return;
    direct_->handle_network_changed();
    if (auto* session = node_.session())
        session->tell_candidates(world_.now(), direct_->candidates());
}

void ClientNode::wake(std::optional<path::CarrierKind> kind)
{
    node_.wake(kind);
    if (direct_)
        direct_->wake(kind);
}

std::string ClientNode::obstacle() const
{
    return connection_ && direct_ ? direct_->obstacle(*connection_->driver()) : std::string{};
}

std::optional<path::CarrierKind> ClientNode::path() const
{
    return connection_ ? connection_->driver()->pair().current() : std::nullopt;
}

void ClientNode::handle_introduced(const control::Introduced& introduced)
{
    if (introduced.pair != pair_id_)
        return;
    introducing_ = false;
    if (connection_ && (connection_->driver()->is_closed() || instance_ != introduced.instance)) {
        world_.note("{}: the agent is another process", settings_.claims.name);
        close_pair();
        retire();
        introduce();
        return;
    }
    pair_existed_ = true;
    instance_ = introduced.instance;
    path::Pair::Config config = settings_.pair;
    config.quic.id_prefix =
        control::relay_tag(control::Role::client, settings_.person->pin, pair_id_);
    if (!connection_)
        connection_ = std::make_shared<AgentConnection>(
            *this,
            path::Pair::client(config, {settings_.person->credentials, introduced.key},
                               world_.now(), world_.cores)
                .value());
    world_.note("{}: introduced", settings_.claims.name);
    node_.attach(introduced.handle, *connection_->driver());
}

void ClientNode::close_pair()
{
    if (!connection_)
        return;
    connection_->driver()->pair().close(world_.now(), quic::h3_no_error);
    connection_->driver()->settle();
    if (control::NodeSession* session = node_.session())
        session->release(world_.now(), pair_id_);
    node_.wake();
}

void ClientNode::close()
{
    closing_ = true;
    close_pair();
}

} // namespace narrowlink::sim

// Theory of operation
//
// Plays src/gateway: Hub (Process) and Session. What crosses threads there is posted here, and
// takes a little time that is drawn; posts between the same two threads keep their order, others
// need not.

#include "gateway.hpp"

#include "narrowlink/wire/relay_frame.hpp"
#include "narrowlink/wire/relay_tag.hpp"

#include <algorithm>
#include <unordered_map>

namespace narrowlink::sim {
namespace {

constexpr unsigned threads = 2;
constexpr unsigned hub_thread = 0;
constexpr Duration longest_post = microseconds{200};
constexpr Duration closing_timeout = milliseconds{500};
constexpr std::uint32_t messages_per_second = 100; // gateway::Config
constexpr std::size_t most_posted_bytes = 2 * 1'024 * 1'024;

} // namespace

class Gateway::Process {
public:
    /// Of a node; see gateway::Abilities.
    struct Abilities {
        bool punches = false;
        bool relays = false;
    };

    Process(World& the_world, const Config& the_config, Internet* the_internet,
            std::uint64_t& dropped_count, std::uint64_t& relayed_count)
        : world{the_world}
        , config{the_config}
        , dropped{dropped_count}
        , relayed{relayed_count}
        , registry{the_config.registry}
        , internet_{the_internet}
        , timer_{the_world, [this] {
                     registry.handle_timeout(world.now());
                     if (rendezvous)
                         rendezvous->handle_timeout(world.now());
                     drain();
                 }}
    {
        if (config.rendezvous)
            rendezvous.emplace(*config.rendezvous, world.cores);
    }

    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Runs the task on another thread, or later on the same.
    void post(unsigned from, unsigned to, World::Task task)
    {
        Instant& last = last_post_[from * threads + to];
        last = std::max(last, world.now() + world.network.between(Duration{}, longest_post));
        world.at(last, life, std::move(task));
    }

    void drain();
    void act(const control::Registry::Send&);
    void act(const control::Registry::Route&);
    void act(const control::Registry::Unroute&);
    void act(const control::Registry::Close&);
    void act(const control::Registry::PairUp&);
    void act(const control::Registry::PairDown&);
    void add(const std::shared_ptr<Session>&, control::Registry::Node, Abilities);
    void handle_datagram(const Datagram&);
    void relay(const Datagram&);
    void send(control::SessionId to, control::Message);
    [[nodiscard]] SocketAddress address_of(std::size_t port, const IpAddress& ip) const;
    std::shared_ptr<Session> find(control::SessionId);

    World& world;
    const Config& config;
    std::uint64_t& dropped;
    std::uint64_t& relayed;
    control::Registry registry;
    std::optional<control::Rendezvous> rendezvous;                   ///< nothing: no probe service
    control::DatagramRelay datagrams;
    std::map<control::SessionId, std::shared_ptr<Session>> sessions; ///< that the hub knows
    std::map<control::SessionId, std::shared_ptr<Session>> running;
    std::uint64_t last_session = 0;
    Life life;

private:
    Internet* internet_;
    std::array<Instant, threads * threads> last_post_{};
    Timer timer_;
};

class Gateway::Session final : public Socket::Owner, public std::enable_shared_from_this<Session> {
public:
    Session(Process& process, control::SessionId id, std::unique_ptr<Socket> socket, Claims claims)
        : process_{process}
        , id_{id}
        , thread_{static_cast<unsigned>(id) % threads}
        , claims_{std::move(claims)}
        , socket_{std::move(socket)}
        , control_{config_of(process), claims_.role, process.world.now()}
        , queue_{process.config.queue}
        , liveness_{process.world, [this] { handle_timeout(); }}
    {
        socket_->set_owner(this);
        liveness_.expires_at(control_.deadline());
    }

    [[nodiscard]] control::SessionId id() const { return id_; }

    [[nodiscard]] unsigned thread() const { return thread_; }

    [[nodiscard]] std::size_t routes() const { return table_.size(); }

    // From the hub.

    void accept()
    {
        control_.accept(now(), {.session = fmt::format("{:x}", static_cast<std::uint64_t>(id_)),
                                .name = claims_.name,
                                .user = claims_.user});
        drain_control();
    }

    void send(const control::Message& message)
    {
        control_.send(message);
        wake();
    }

    void close(control::ClosingReason reason, const std::string& message)
    {
        control_.close(now(), reason, message);
        drain_control();
    }

    void add_route(wire::PairHandle handle, std::shared_ptr<Session> peer,
                   wire::PairHandle handle_at_peer)
    {
        if (closed_)
            return;
        table_.add(handle, peer->id(), handle_at_peer);
        peers_.insert_or_assign(peer->id(), std::move(peer));
    }

    void remove_route(wire::PairHandle handle)
    {
        table_.remove(handle);
        queue_.forget(handle);
        if (table_.size() == 0)
            peers_.clear();
    }

    // From the socket.

    void handle_message(MessageKind kind, Bytes bytes) override
    {
        if (closed_ || ended_)
            return;
        if (kind == MessageKind::text) {
            control_.handle_text(now(), as_text(bytes));
        } else {
            control_.handle_binary_seen(now());
            if (control_.is_established())
                relay(bytes);
        }
        drain_control();
    }

    void handle_written() override
    {
        writing_ = false;
        queue_.handle_written(now(), std::exchange(written_size_, 0));
        wake();
    }

    void handle_end() override { end("the connection has ended"); }

private:
    static control::GatewaySession::Config config_of(const Process& process)
    {
        control::GatewaySession::Config config;
        config.messages_per_second = messages_per_second;
        if (process.rendezvous)
            for (const std::string_view feature :
                 {control::direct_feature, control::udp_relay_feature})
                config.features.emplace_back(feature);
        return config;
    }

    [[nodiscard]] Instant now() const { return process_.world.now(); }

    void relay(Bytes bytes)
    {
        process_.relayed += bytes.size();
        Buffer message{0, bytes.size()};
        std::ranges::copy(bytes, message.tailroom().begin());
        message.commit(bytes.size());
        const auto route = table_.forward(message.bytes());
        if (!route) {
            control_.handle_malformed_binary(now());
            return;
        }
        const auto peer = *route ? peers_.find((*route)->to) : peers_.end();
        if (peer == peers_.end() || process_.world.network.chance(process_.config.loss))
            return;
        const std::shared_ptr<Session> receiver = peer->second;
        const wire::PairHandle handle = (*route)->handle_at_to;
        if (process_.world.network.chance(process_.config.reorder)) {
            const Duration detour =
                process_.world.network.between(Duration{}, process_.config.longest_detour);
            process_.world.after(detour, process_.life,
                                 delivery(receiver, handle, std::move(message)));
        } else if (receiver->thread_ == thread_) {
            receiver->deliver(handle, std::move(message));
        } else if (receiver->posted_bytes_ <= most_posted_bytes) {
            process_.post(thread_, receiver->thread_,
                          delivery(receiver, handle, std::move(message)));
        }
    }

    static World::Task delivery(const std::shared_ptr<Session>& receiver, wire::PairHandle handle,
                                Buffer message)
    {
        receiver->posted_bytes_ += message.size();
        return [receiver, handle, shared = std::make_shared<Buffer>(std::move(message))] {
            receiver->posted_bytes_ -= shared->size();
            receiver->deliver(handle, std::move(*shared));
        };
    }

    void deliver(wire::PairHandle handle, Buffer message)
    {
        if (closed_ || ended_)
            return;
        if (queue_.offer(now(), handle, std::move(message)))
            wake();
        else
            ++process_.dropped;
    }

    void wake()
    {
        if (woken_ || writing_ || ended_)
            return;
        woken_ = true;
        process_.world.post(life_, [this] {
            woken_ = false;
            write_queue();
        });
    }

    void write_queue()
    {
        const auto alive = shared_from_this();
        while (!writing_ && !ended_) {
            while (auto text = control_.poll_transmit())
                if (!queue_.offer_text(std::move(*text))) {
                    end("control messages are not taken");
                    return;
                }
            auto item = queue_.poll(now());
            if (!item) {
                if (closed_)
                    end(closed_->message);
                return;
            }
            const auto* text = std::get_if<std::string>(&*item);
            const Bytes bytes =
                text != nullptr ? as_bytes(*text) : std::as_const(std::get<Buffer>(*item)).bytes();
            written_size_ = bytes.size();
            writing_ =
                !socket_->write(text != nullptr ? MessageKind::text : MessageKind::binary, bytes);
            if (!writing_)
                queue_.handle_written(now(), written_size_);
        }
    }

    void handle_timeout()
    {
        if (ended_)
            return;
        control_.handle_timeout(now());
        drain_control();
    }

    void drain_control()
    {
        while (auto event = control_.poll_event()) {
            if (auto* hello = std::get_if<control::GatewaySession::HelloReceived>(&*event))
                handle_hello(hello->hello);
            else if (auto* message = std::get_if<control::GatewaySession::MessageReceived>(&*event))
                process_.post(thread_, hub_thread,
                              [&process = process_, id = id_, m = std::move(message->message)] {
                                  process.registry.handle(process.world.now(), id, m);
                                  if (process.rendezvous)
                                      process.rendezvous->handle(process.world.now(), id, m);
                                  process.drain();
                              });
            else if (const auto* rtt = std::get_if<control::GatewaySession::RttMeasured>(&*event))
                process_.post(thread_, hub_thread,
                              [&process = process_, id = id_, time = rtt->rtt] {
                                  if (process.rendezvous)
                                      process.rendezvous->handle_rtt(id, time);
                              });
            else if (auto* closed = std::get_if<control::GatewaySession::Closed>(&*event))
                begin_to_end(*closed);
        }
        liveness_.expires_at(closed_ ? never : control_.deadline());
        wake();
    }

    /// What is queued may still go out, unless the node is gone.
    void begin_to_end(const control::GatewaySession::Closed& closed)
    {
        closed_ = closed;
        const bool gone = closed.reason == control::ClosingReason::silence;
        process_.world.after(gone ? Duration{} : closing_timeout, life_,
                             [this] { end(closed_->message); });
    }

    void handle_hello(const control::Hello& hello)
    {
        control::Registry::Node node{.user = claims_.user,
                                     .name = claims_.name,
                                     .token = claims_.token,
                                     .key = hello.key,
                                     .instance = hello.instance,
                                     .software = hello.software,
                                     .address = {}};
        const auto has = [&](std::string_view feature) {
            return process_.rendezvous &&
                   std::ranges::find(hello.features, feature) != hello.features.end();
        };
        const Process::Abilities abilities{.punches = has(control::direct_feature),
                                           .relays = has(control::udp_relay_feature)};
        process_.post(thread_, hub_thread,
                      [&process = process_, self = shared_from_this(), node = std::move(node),
                       abilities] { process.add(self, node, abilities); });
    }

    void end(const std::string& reason)
    {
        if (ended_)
            return;
        const auto alive = shared_from_this();
        ended_ = true;
        process_.world.note("gateway: session {} of {} ends: {}", static_cast<std::uint64_t>(id_),
                            claims_.name, reason);
        liveness_.cancel();
        socket_->close();
        peers_.clear();
        process_.running.erase(id_);
        process_.post(thread_, hub_thread, [&process = process_, id = id_] {
            if (process.rendezvous)
                process.rendezvous->remove_session(id);
            process.datagrams.remove_session(id);
            process.registry.remove(process.world.now(), id);
            process.drain();
            process.sessions.erase(id);
        });
    }

    friend class Process;

    Process& process_;
    control::SessionId id_;
    unsigned thread_;
    Claims claims_;
    std::unique_ptr<Socket> socket_;
    control::GatewaySession control_;
    relay::EgressQueue queue_;
    relay::Table table_;
    std::unordered_map<control::SessionId, std::shared_ptr<Session>> peers_;
    std::size_t posted_bytes_ = 0;
    std::size_t written_size_ = 0;
    std::optional<control::GatewaySession::Closed> closed_;
    bool writing_ = false;
    bool woken_ = false;
    bool ended_ = false;
    Timer liveness_;
    Life life_;
};

Gateway::Process::~Process()
{
    for (const auto& [id, session] : running) {
        session->ended_ = true;
        session->peers_.clear(); // sessions hold each other
        session->socket_->close();
    }
}

std::shared_ptr<Gateway::Session> Gateway::Process::find(control::SessionId id)
{
    const auto found = sessions.find(id);
    return found == sessions.end() ? nullptr : found->second;
}

void Gateway::Process::add(const std::shared_ptr<Session>& session, control::Registry::Node node,
                           Abilities abilities)
{
    const std::string name =
        fmt::format("{} {} {}", to_string(session->claims_.role), node.user, node.name);
    world.note("gateway: {} {} is session {}", to_string(session->claims_.role), node.name,
               static_cast<std::uint64_t>(session->id()));
    const Result<> added =
        session->claims_.role == control::Role::agent
            ? registry.add_agent(world.now(), session->id(), std::move(node))
            : registry.add_client(world.now(), session->id(), std::move(node), {});
    if (!added) {
        world.fail("the registry did not take a node: " + added.error().message());
        return;
    }
    sessions.emplace(session->id(), session);
    post(hub_thread, session->thread(), [session] { session->accept(); });
    if (abilities.relays)
        datagrams.add_session(session->id());
    if (abilities.punches || abilities.relays)
        rendezvous->add_session(world.now(), session->id(), session->claims_.role, name,
                                {.direct = abilities.punches});
    drain();
}

void Gateway::Process::drain()
{
    while (const auto action = registry.poll_action())
        std::visit([this](const auto& a) { act(a); }, *action);
    Instant next = registry.deadline();
    if (rendezvous) {
        while (auto message = rendezvous->poll_message())
            send(message->to, std::move(message->message));
        while (const auto transmit = rendezvous->poll_transmit())
            internet_->send_from_server({address_of(transmit->port, transmit->from),
                                         transmit->to,
                                         {transmit->packet.begin(), transmit->packet.end()}});
        while (const auto proved = rendezvous->poll_proved())
            datagrams.handle_place(world.now(), proved->session, {proved->address, proved->at});
        next = std::min(next, rendezvous->deadline());
    }
    while (auto message = datagrams.poll_message())
        send(message->to, std::move(message->message));
    timer_.expires_at(next);
}

void Gateway::Process::send(control::SessionId to, control::Message message)
{
    if (auto session = find(to))
        post(hub_thread, session->thread(),
             [session, message = std::move(message)] { session->send(message); });
}

void Gateway::Process::act(const control::Registry::Send& sent)
{
    send(sent.to, sent.message);
}

void Gateway::Process::act(const control::Registry::PairUp& pair)
{
    if (rendezvous)
        rendezvous->add_pair(world.now(), {pair.client_key, pair.id}, pair.client, pair.agent);
    datagrams.add_pair(world.now(), {pair.client_key, pair.id}, pair.client, pair.agent);
}

void Gateway::Process::act(const control::Registry::PairDown& pair)
{
    if (rendezvous)
        rendezvous->remove_pair({pair.client_key, pair.id});
    datagrams.remove_pair({pair.client_key, pair.id});
}

SocketAddress Gateway::Process::address_of(std::size_t port, const IpAddress& ip) const
{
    return {ip, config.rendezvous->ports[port]};
}

/// Plays gateway::Observer.
void Gateway::Process::handle_datagram(const Datagram& datagram)
{
    const auto& ports = config.rendezvous->ports;
    const auto port = std::ranges::find(ports, datagram.to.port);
    if (port == ports.end())
        return;
    const auto answer =
        rendezvous->handle_datagram(world.now(),
                                    {.port = static_cast<std::size_t>(port - ports.begin()),
                                     .from = datagram.from,
                                     .at = datagram.to.ip,
                                     .ttl = datagram.ttl},
                                    datagram.bytes);
    if (answer)
        internet_->send_from_server({datagram.to, datagram.from, {answer->begin(), answer->end()}});
    else if (port == ports.begin())
        relay(datagram);
    drain();
}

void Gateway::Process::relay(const Datagram& datagram)
{
    const auto tag = wire::relay_tag_of(datagram.bytes);
    if (!tag)
        return;
    const auto found = datagrams.table().find(world.now(), datagram.from, *tag);
    if (found.to == nullptr)
        return;
    relayed += datagram.bytes.size();
    internet_->send_from_server(
        {address_of(0, found.to->ours), found.to->address, datagram.bytes});
}

void Gateway::Process::act(const control::Registry::Route& route)
{
    auto from = find(route.from);
    auto to = find(route.to);
    if (from && to)
        post(hub_thread, from->thread(),
             [from, to, route] { from->add_route(route.handle_at_from, to, route.handle_at_to); });
}

void Gateway::Process::act(const control::Registry::Unroute& unroute)
{
    if (auto session = find(unroute.session))
        post(hub_thread, session->thread(),
             [session, handle = unroute.handle] { session->remove_route(handle); });
}

void Gateway::Process::act(const control::Registry::Close& close)
{
    if (auto session = find(close.session))
        post(hub_thread, session->thread(),
             [session, close] { session->close(close.reason, close.message); });
}

Gateway::Gateway(World& world, Config config, Internet* internet)
    : world_{&world}, config_{std::move(config)}, internet_{internet}, good_since_{world.now()}
{
    if (config_.rendezvous)
        internet_->add_server(config_.rendezvous->addresses,
                              [this](const Datagram& d) { handle_datagram(d); });
    start();
}

Gateway::~Gateway() = default;

void Gateway::handle_datagram(const Datagram& datagram)
{
    if (process_)
        process_->handle_datagram(datagram);
}

void Gateway::start()
{
    world_->note("gateway: starts");
    process_ = std::make_unique<Process>(*world_, config_, internet_, dropped_, relayed_);
    good_since_ = world_->now();
    if (!silent_)
        return;
    silent_ = false;
    for (const auto& connection : connections_)
        if (const auto there = connection.lock()) {
            // Its next segment is answered with a reset.
            world_->at(there->resume(), life_,
                       [there] { there->reset({.node = true, .gateway = false}); });
        }
    connections_.clear();
}

void Gateway::kill()
{
    world_->note("gateway: killed");
    process_.reset();
}

void Gateway::cut_power()
{
    world_->note("gateway: without power");
    silent_ = true;
    std::erase_if(connections_, [](const auto& c) { return c.expired(); });
    for (const auto& connection : connections_)
        if (const auto there = connection.lock())
            there->stall();
    process_.reset();
}

void Gateway::accept(std::unique_ptr<Socket> socket, const std::shared_ptr<Connection>& connection,
                     Claims claims)
{
    std::erase_if(connections_, [](const auto& c) { return c.expired(); });
    connections_.push_back(connection);
    const control::SessionId id{++process_->last_session};
    auto session = std::make_shared<Session>(*process_, id, std::move(socket), std::move(claims));
    process_->running.emplace(id, session);
}

void Gateway::revoke(const std::string& token)
{
    process_->registry.revoke(world_->now(), token);
    process_->drain();
}

Gateway::Counts Gateway::counts() const
{
    Counts counts;
    if (!process_)
        return counts;
    counts.registry = process_->registry.counts();
    counts.expects_nothing = process_->registry.deadline() == never;
    for (const auto& [id, session] : process_->running) {
        ++counts.sessions;
        counts.routes += session->routes();
    }
    return counts;
}

} // namespace narrowlink::sim

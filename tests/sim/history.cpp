// Theory of operation
//
// A history is drawn from its seed: who is there, what they say to each other, what breaks and
// when. It runs until every stream has ended and everything broken is whole again. Then every end
// of every stream is judged, the clients leave, and nothing may be left of them anywhere.

#include "history.hpp"

#include "couple.hpp"

#include <algorithm>
#include <array>

namespace narrowlink::sim {
namespace {

constexpr Duration longest_reading = seconds{60};
constexpr Duration look_interval = milliseconds{50};
constexpr Duration silence_limit = seconds{8}; // control::NodeSession::Config
constexpr Duration hello_timeout = seconds{10};

Gateway::Config gateway_config(const Character& character)
{
    Gateway::Config config;
    config.registry.resume_window = character.resume_window;
    config.queue = character.queue;
    config.loss = character.loss;
    config.reorder = character.reorder;
    if (!character.routers.empty())
        config.rendezvous = probe_service();
    return config;
}

} // namespace

History::History(std::uint64_t seed, const Character& character)
    : character_{character}
    , world_{seed}
    , internet_{world_}
    , gateway_{world_, gateway_config(character), &internet_}
{
    relays_over_udp_ = character_.udp_relay > 0 && world_.plan.chance(character_.udp_relay);
    const std::size_t agents = draw(character_.agents);
    for (std::size_t number = 0; number < agents; ++number)
        add_agent(number);
    for (std::size_t agent = 0; agent < agents; ++agent)
        for (std::uint64_t left = draw(character_.clients); left > 0; --left)
            add_client(agent, clients_.size());
    for (std::size_t client = 0; client < clients_.size(); ++client)
        schedule_conversations(client);
    schedule_faults();
}

History::~History() = default;

std::uint64_t History::draw(Character::Range range)
{
    return world_.plan.between(range.least, range.most);
}

// ---- who is there

std::unique_ptr<Access> History::make_access()
{
    const auto shape = [this] {
        const auto& [least, most] = character_.access_bytes_per_second;
        return Shape{.delay = milliseconds{draw(character_.delay_ms)},
                     .jitter = milliseconds{world_.plan.below(4)},
                     .bytes_per_second =
                         static_cast<double>(world_.plan.between_magnitudes(least, most)),
                     .hiccup = character_.hiccup};
    };
    const Shape up = shape();
    const Shape down = shape();
    return std::make_unique<Access>(world_, up, down);
}

Site& History::make_site(const Access& access)
{
    const auto& kinds = character_.routers;
    const NatKind& kind = nat_kind(kinds[world_.plan.below(kinds.size())]);
    Site& site = *sites_.emplace_back(std::make_unique<Site>(internet_, kind));
    site.up = access.up;
    site.down = access.down;
    constexpr std::array<std::size_t, 4> mtus{1'500, 1'500, 1'492, 1'280};
    site.mtu = mtus[world_.plan.below(mtus.size())];
    world_.note("a node is behind {}", kind.name);
    return site;
}

std::unique_ptr<Host> History::make_host(const Access& access)
{
    return character_.routers.empty() ? nullptr
                                      : std::make_unique<Host>(world_, access, make_site(access));
}

void History::add_agent(std::size_t number)
{
    NodeSettings settings{.person = &person(number),
                          .claims = {.role = control::Role::agent,
                                     .user = fmt::format("user-{}", number % 2),
                                     .name = fmt::format("agent-{}", number),
                                     .token = fmt::format("agent-token-{}", number)},
                          .pair = {}};
    settings.pair.resume_window = character_.agent_patience();
    settings.pair.quic.streams = character_.streams_at_once;
    AgentHost host{
        .access = make_access(), .settings = std::move(settings), .host = {}, .node = {}};
    host.host = make_host(*host.access);
    host.settings.host = host.host.get();
    host.settings.relays_over_udp = relays_over_udp_;
    host.good_since = world_.now();
    agents_.push_back(std::move(host));
    AgentHost& there = agents_.back();
    const World::On machine{world_, there.access->machine()};
    there.node = std::make_unique<AgentNode>(world_, gateway_, *there.access, there.settings,
                                             conversations_);
}

void History::add_client(std::size_t agent, std::size_t number)
{
    constexpr std::size_t first_client = 100;
    NodeSettings settings{.person = &person(first_client + number),
                          .claims = {.role = control::Role::client,
                                     .user = agents_[agent].settings.claims.user,
                                     .name = fmt::format("client-{}", number),
                                     .token = fmt::format("client-token-{}", number)},
                          .pair = {}};
    settings.pair.resume_window = character_.resume_window;
    ClientHost host{.access = make_access(),
                    .settings = std::move(settings),
                    .agent = agent,
                    .host = {},
                    .node = {},
                    .conversations = {}};
    host.host = make_host(*host.access);
    host.settings.host = host.host.get();
    host.settings.relays_over_udp = relays_over_udp_;
    std::optional<wire::PairId> pair_id;
    if (character_.same_pair_ids)
        pair_id.emplace().bytes.fill(std::byte{0x11});
    const World::On machine{world_, host.access->machine()};
    host.node = std::make_unique<ClientNode>(world_, gateway_, *host.access, host.settings,
                                             agents_[agent].settings.claims.name, pair_id);
    clients_.push_back(std::move(host));
}

// ---- what they say

Plan History::draw_plan(std::uint32_t id)
{
    Dice& dice = world_.plan;
    const auto [least, most] = character_.stream_bytes;
    Plan plan{.id = id};
    plan.starts_after = dice.between(Duration{}, character_.starts_within);
    plan.upload = dice.between_magnitudes(least, most);
    plan.download = dice.between_magnitudes(least, most);
    if (dice.chance(character_.datagram_streams)) {
        plan.kind = Plan::Kind::udp;
        plan.datagrams = static_cast<std::uint32_t>(dice.between(1, 200));
        plan.largest_datagram = dice.chance(0.3) ? 60'000 : 1'400;
        plan.interval = dice.between(Duration{milliseconds{5}}, milliseconds{100});
    } else if (dice.chance(0.25)) {
        plan.kind = Plan::Kind::echo;
        plan.upload = std::min<std::uint64_t>(plan.upload, 500'000);
        plan.echo_window = dice.between_magnitudes(plan.upload / 40 + 1, 200'000);
    } else {
        plan.order = static_cast<Plan::Order>(dice.below(3));
    }
    const auto slow = [&] {
        const Duration pause = dice.between(Duration{milliseconds{1}}, milliseconds{200});
        const std::uint64_t turns = static_cast<std::uint64_t>(longest_reading / pause);
        return Pace{.bytes_per_turn =
                        dice.between(1'000, 100'000) + std::max(plan.upload, plan.download) / turns,
                    .pause = pause};
    };
    if (dice.chance(character_.slow_streams))
        plan.client_pace = slow();
    if (dice.chance(character_.slow_streams))
        plan.agent_pace = slow();
    if (plan.kind == Plan::Kind::tcp && dice.chance(character_.reset_streams))
        (dice.chance(0.5) ? plan.client_resets_after.emplace(dice.below(plan.download + 1))
                          : plan.agent_resets_after.emplace(dice.below(plan.upload + 1)));
    plan.refused = dice.chance(character_.refused_streams);
    return plan;
}

void History::schedule_conversations(std::size_t client)
{
    for (std::uint64_t left = draw(character_.streams); left > 0; --left) {
        const auto id = static_cast<std::uint32_t>(conversations_.size() + 1);
        Conversation& conversation = conversations_[id];
        conversation.plan = draw_plan(id);
        const World::On machine{world_, clients_[client].access->machine()};
        clients_[client].conversations.push_back(id);
        world_.after(conversation.plan.starts_after, life_, [this, client, &conversation] {
            ClientHost& host = clients_[client];
            if (host.node)
                host.node->open(conversation);
            else
                conversation.client->ending = Ending::killed;
        });
    }
}

// ---- what breaks

void History::schedule_faults()
{
    if (character_.faults.empty())
        return;
    faults_left_ = draw(character_.fault_count);
    for (std::size_t i = 0; i < faults_left_; ++i) {
        const Duration when = world_.plan.between(Duration{}, character_.faults_within);
        const Fault fault = character_.faults[world_.plan.below(character_.faults.size())];
        const std::uint64_t victim = world_.plan.draw();
        const Duration outage = milliseconds{
            world_.plan.between_magnitudes(character_.outage_ms.least, character_.outage_ms.most)};
        world_.after(when, life_, [this, fault, victim, outage] { strike(fault, victim, outage); });
    }
}

void History::strike(Fault fault, std::uint64_t victim, Duration outage)
{
    const std::size_t number = victim % (agents_.size() + clients_.size());
    Access& access = number < agents_.size() ? *agents_[number].access
                                             : *clients_[number - agents_.size()].access;
    world_.note("fault {} at node {} for {} ms", static_cast<int>(fault), number,
                outage / milliseconds{1});
    if (access.machine()->is_asleep()) { // it cannot be worse off
        --faults_left_;
        return;
    }
    switch (fault) {
    case Fault::reset: reset(access, {}); return;
    case Fault::reset_at_node: reset(access, {.node = true, .gateway = false}); return;
    case Fault::reset_at_gateway: reset(access, {.node = false, .gateway = true}); return;
    case Fault::black_hole: break_access(access, false, outage); return;
    case Fault::no_route: break_access(access, true, outage); return;
    case Fault::gateway_killed: lose_gateway(false, outage); return;
    case Fault::gateway_without_power: lose_gateway(true, outage); return;
    case Fault::agent_killed: kill_agent(agents_[victim % agents_.size()], outage); return;
    case Fault::client_killed: {
        ClientHost& host = clients_[victim % clients_.size()];
        host.killed = true;
        const World::On machine{world_, host.access->machine()};
        host.node.reset();
        --faults_left_;
        return;
    }
    case Fault::direct_dead:
    case Fault::direct_dead_one_way:
    case Fault::direct_slow:
    case Fault::direct_lossy:
    case Fault::direct_flaps:
    case Fault::direct_narrow: strike_direct(fault, victim, outage); return;
    case Fault::router_rebooted:
        host_of(number).site().router().reboot();
        disturb_direct(access);
        --faults_left_;
        return;
    case Fault::roams: roam(access, number); return;
    case Fault::suspended:
    case Fault::stopped: sleep(access, fault == Fault::suspended, outage); return;
    }
}

Host& History::host_of(std::size_t node)
{
    return node < agents_.size() ? *agents_[node].host : *clients_[node - agents_.size()].host;
}

void History::set_trouble(const ClientHost& client, const Trouble& forth, const Trouble& back)
{
    const Site* const here = &client.host->site();
    const Site* const there = &agents_[client.agent].host->site();
    internet_.trouble(here, there) = forth;
    internet_.trouble(there, here) = back;
}

void History::strike_direct(Fault fault, std::uint64_t victim, Duration outage)
{
    ClientHost& client = clients_[victim % clients_.size()];
    Dice& dice = world_.plan;
    Trouble forth, back;
    if (fault == Fault::direct_slow) {
        for (Trouble* trouble : {&forth, &back}) {
            trouble->delay = dice.between(Duration{}, milliseconds{300});
            trouble->jitter = dice.between(Duration{}, milliseconds{20});
            trouble->bytes_per_second =
                static_cast<double>(dice.between_magnitudes(100'000, 5'000'000));
        }
    } else if (fault == Fault::direct_lossy) {
        forth.loss = static_cast<double>(dice.below(150)) / 1e3;
        back.loss = static_cast<double>(dice.below(150)) / 1e3;
    } else if (fault == Fault::direct_narrow) {
        const std::size_t size = dice.between(1'228U, 1'450U);
        const bool one_way = dice.chance(0.7);
        (dice.chance(0.5) ? forth : back).mtu = size;
        if (!one_way)
            forth.mtu = back.mtu = size;
    } else if (fault == Fault::direct_dead_one_way) {
        (dice.chance(0.5) ? forth : back).dead = true;
    } else {
        forth.dead = back.dead = true;
    }
    const bool flaps = fault == Fault::direct_flaps;
    const Instant end = world_.now() + outage;
    set_trouble(client, forth, back);
    if (forth.dead || back.dead || fault == Fault::direct_narrow) {
        watch_direct(client);
        client.direct_since = never;
    }
    const Duration turn =
        flaps ? std::min(outage, dice.between(Duration{milliseconds{50}}, seconds{3})) : outage;
    world_.after(turn, life_, [this, fault, flaps, victim, end, &client] {
        set_trouble(client, {}, {});
        const Duration rest = world_.plan.between(Duration{milliseconds{50}}, seconds{3});
        if (!flaps || world_.now() + rest >= end) {
            world_.note("the way between the sites is as it was");
            --faults_left_;
            return;
        }
        world_.after(rest, life_, [this, fault, victim, end] {
            strike_direct(fault, victim, std::max(end - world_.now(), Duration{milliseconds{1}}));
        });
    });
}

/// Nobody promises that the direct paths of this node still work.
void History::disturb_direct(const Access& access)
{
    for (ClientHost& client : clients_)
        if (client.access.get() == &access || agents_[client.agent].access.get() == &access) {
            watch_direct(client); // an upgrade of before
            client.direct_since = never;
        }
}

void History::watch_direct(ClientHost& client)
{
    if (!client.node || client.host == nullptr)
        return;
    const unsigned changes = client.node->upgrades();
    if (client.node->path() != path::CarrierKind::direct_udp)
        client.direct_since = never;
    else if (changes > client.upgrades)
        client.direct_since = world_.now();
    client.upgrades = changes;
}

/// Its connection to the gateway, which had the old address, is dead. The node's system says so at
/// once, or nobody does.
void History::roam(Access& access, std::size_t number)
{
    disturb_direct(access);
    host_of(number).move_to(make_site(access));
    reset(access, {.node = false, .gateway = false});
    if (world_.plan.chance(0.5))
        return;
    world_.note("and is told so");
    const World::On machine{world_, access.machine()};
    if (number < agents_.size()) {
        if (agents_[number].node)
            agents_[number].node->handle_network_changed();
    } else if (ClientNode* node = clients_[number - agents_.size()].node.get()) {
        node->handle_network_changed();
    }
}

void History::sleep(Access& access, bool clock_stands, Duration outage)
{
    if (!access.is_up()) {
        --faults_left_;
        return;
    }
    disturb_direct(access);
    access.fail(false);
    world_.suspend(*access.machine());
    world_.after(outage, life_, [this, &access, clock_stands] {
        world_.resume(*access.machine(), clock_stands);
        access.restore();
        if (clock_stands) // by which it has heard the gateway a moment ago
            access.excuse_for(silence_limit + seconds{1});
        world_.note("a node is awake");
        --faults_left_;
    });
}

void History::reset(Access& access, Connection::Learns learns)
{
    for (const auto& connection : access.connections()) {
        connection->reset(learns);
        const bool young = world_.now() < connection->made_at() + seconds{1};
        if (!learns.node)
            access.excuse_until(world_.now() + (young ? hello_timeout : silence_limit));
    }
    access.excuse_until(world_.now());
    --faults_left_;
}

void History::break_access(Access& access, bool with_an_error, Duration outage)
{
    if (!access.is_up()) {
        --faults_left_;
        return;
    }
    disturb_direct(access);
    access.fail(with_an_error);
    world_.after(outage, life_, [this, &access] {
        access.restore();
        world_.note("a network is back");
        --faults_left_;
    });
}

void History::kill_agent(AgentHost& host, Duration outage)
{
    if (!host.node) {
        --faults_left_;
        return;
    }
    {
        const World::On machine{world_, host.access->machine()};
        host.node.reset();
    }
    disturb_direct(*host.access);
    host.good_since = never;
    world_.after(outage, life_, [this, &host] {
        world_.note("{} starts again", host.settings.claims.name);
        const World::On machine{world_, host.access->machine()};
        host.node = std::make_unique<AgentNode>(world_, gateway_, *host.access, host.settings,
                                                conversations_);
        host.good_since = world_.true_now();
        --faults_left_;
    });
}

void History::lose_gateway(bool power, Duration outage)
{
    if (!gateway_.is_running()) {
        --faults_left_;
        return;
    }
    const Instant lost_at = world_.now();
    power ? gateway_.cut_power() : gateway_.kill();
    world_.after(outage, life_, [this, power, lost_at] {
        gateway_.start();
        // TCP's next segment is answered with a reset; without one the silence tells.
        if (power)
            for (auto* hosts : {&clients_})
                for (ClientHost& host : *hosts)
                    host.access->excuse_until(lost_at + silence_limit);
        if (power)
            for (AgentHost& host : agents_)
                host.access->excuse_until(lost_at + silence_limit);
        --faults_left_;
    });
}

// ---- running

std::optional<std::string> History::run()
{
    const Instant begin = world_.now();
    while (!world_.has_failed() && !is_over()) {
        world_.run_until(world_.now() + look_interval);
        for (ClientHost& client : clients_)
            watch_direct(client);
        look_for_stalls();
        if (world_.now() > begin + character_.longest_history) {
            std::string text = "the history does not come to its end:";
            for (const ClientHost& client : clients_)
                text += unfinished(client);
            world_.fail(std::move(text));
        }
    }
    measured_.lasted = world_.now() - begin;
    measured_.dropped = gateway_.dropped();
    for (const auto& [id, conversation] : conversations_)
        measured_.bytes += conversation.client->received + conversation.agent->received;
    for (const ClientHost& client : clients_)
        if (client.node) {
            measured_.upgrades += client.node->upgrades();
            measured_.downgrades += client.node->downgrades();
            measured_.onto_udp_relay += client.node->onto_udp_relay();
        }
    if (!world_.has_failed())
        judge();
    if (!world_.has_failed())
        wind_up();
    return world_.failure();
}

bool History::is_over() const
{
    return faults_left_ == 0 && std::ranges::all_of(conversations_, [](const auto& entry) {
               return entry.second.is_over();
           });
}

} // namespace narrowlink::sim

// Theory of operation
//
// Goal: both ends of a pair punch at the same moment, towards addresses that are really the peer's.
//
// A node probes from the socket that it will use for direct paths as soon as it is told to
// (`observe`), and goes on, so that its NAT keeps the mapping and the gateway sees it change.
//
// A pair's rounds of attempts: the first when it comes up, as soon as both ends have been observed
// (or longest_wait later, with what there is); then whenever the client asks (`meet`), or an end's
// observed address has changed, at most one in shortest_interval. Within a round:
//
//   not yet surveyed → first_rung(), which needs to know nothing
//     survey ends    → if that attempt is in vain, it is given up
//   surveyed         → each rung of the ladder until one works: what has worked between these
//   external
//                      addresses first; or Unreachable
//   attempt failed   → the next rung
//
// Of the attempts that spray, one at a time goes through the same NAT; the others wait for their turn.
//
// Each attempt has a key of its own. Where targets depend on a fresh mapping, its owner samples it:
// a probe under that key, from which the gateway computes what it tells the other end (`aim`).
//
// Timing: what is sent now arrives half a round trip later. Both ends are told how long to wait, so
// that their first probes leave at the same time and cross.

#include "narrowlink/control/rendezvous.hpp"

#include "narrowlink/crypto/digest.hpp"
#include "words.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::control {
namespace {

/// What an end needs between being told and sending: nat::Puncher opens its own NAT first.
constexpr Duration margin = std::chrono::milliseconds{40};
constexpr Duration longest_half_trip = std::chrono::milliseconds{500};

/// For the client's word on how an attempt went.
constexpr Duration grace = std::chrono::seconds{2};
constexpr Duration cookie_period = std::chrono::minutes{2};
constexpr Duration retell_interval = std::chrono::seconds{20}; ///< of a proved place

std::uint32_t milliseconds_of(Duration duration)
{
    const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
    return static_cast<std::uint32_t>(std::max<std::int64_t>(count, 0));
}

Duration half_trip(Duration rtt)
{
    return std::min(rtt / 2, longest_half_trip);
}

wire::ProbeSender sender_of(Role role)
{
    return role == Role::agent ? wire::ProbeSender::agent : wire::ProbeSender::client;
}

bool sprays(const Rung& rung)
{
    return rung.step.technique == nat::Technique::block_spray ||
           rung.step.technique == nat::Technique::birthday;
}

/// What only who gets packets at this address in this period can know; never 0. Nothing has to be
/// kept for it, so that addresses may come and go.
std::uint64_t cookie_for(Bytes key, const SocketAddress& address, std::uint64_t period)
{
    std::array<std::byte, 27> text{};
    Writer out{text};
    out.u64(period);
    out.u8(address.ip.is_v4() ? 4 : 6);
    out.bytes(address.ip.bytes());
    out.u16(address.port);
    const crypto::Digest digest = crypto::hmac_sha256(key, text);
    Reader in{digest};
    return std::max<std::uint64_t>(in.u64(), 1);
}

} // namespace

Rendezvous::Rendezvous(Config config, Random& random) : config_{std::move(config)}, random_{&random}
{
}

Rendezvous::Node* Rendezvous::find(SessionId id)
{
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : &found->second;
}

void Rendezvous::add_session(Instant, SessionId id, Role role, const std::string& name,
                             NodeFeatures features)
{
    nat::ProbeCredentials credentials;
    random_->fill(credentials.id);
    random_->fill(credentials.key);
    if (!channels_.emplace(credentials.id, id).second)
        return; // 64 random bits twice: this node does without
    const auto cookie_key = random_->array<32>();
    const auto view_of = [&](bool v4) {
        const auto ports = static_cast<unsigned>(config_.ports.size());
        const auto addresses = std::ranges::count_if(
            config_.addresses, [v4](const IpAddress& ip) { return ip.is_v4() == v4; });
        return NodeView{{.gateway = {.first = ports, .second = addresses > 1 ? ports : 0},
                         .node = name,
                         .memory = &memory_,
                         .tells_lifetime = features.mapping_lifetime}};
    };
    nodes_.emplace(id, Node{.role = role,
                            .punches = features.direct,
                            .channel = {credentials, wire::ProbeSender::gateway},
                            .v4 = view_of(true),
                            .v6 = view_of(false),
                            .own = {},
                            .mapped = {},
                            .cookie_key = cookie_key});
    messages_.push_back(
        {id,
         Observe{.channel = credentials, .ports = config_.ports, .addresses = config_.addresses}});
}

void Rendezvous::remove_session(SessionId id)
{
    const auto found = nodes_.find(id);
    if (found == nodes_.end())
        return;
    channels_.erase(found->second.channel.id());
    surveyed_.erase(id);
    nodes_.erase(found);
    for (auto it = pairs_.begin(); it != pairs_.end();) {
        Pair& pair = it->second;
        if (pair.client != id && pair.agent != id) {
            ++it;
            continue;
        }
        end_attempt(pair);
        it = pairs_.erase(it);
    }
}

void Rendezvous::add_pair(Instant now, PairName name, SessionId client, SessionId agent)
{
    const Node* one = find(client);
    const Node* other = find(agent);
    if (one == nullptr || other == nullptr || !one->punches || !other->punches)
        return;
    Pair& pair = pairs_[name];
    end_attempt(pair);
    pair.waits_for_survey = pair.waits_for_turn = false;
    pair.client = client;
    pair.agent = agent;
    pair.due = now;
    pair.give_up = now + config_.longest_wait;
    handle_timeout(now);
}

void Rendezvous::remove_pair(const PairName& name)
{
    const auto pair = pairs_.find(name);
    if (pair == pairs_.end())
        return;
    end_attempt(pair->second);
    pairs_.erase(pair);
}

void Rendezvous::handle(Instant now, SessionId id, const Message& message)
{
    Node* node = find(id);
    if (node == nullptr)
        return;
    if (const auto* candidates = std::get_if<Candidates>(&message)) {
        handle_candidates(now, id, *node, *candidates);
        handle_mapped_port(now, id, *node, candidates->mapped);
        drain_views(id, *node);
    } else if (const auto* filtered = std::get_if<Filtered>(&message)) {
        node->view(filtered->family).handle_filter_report(now, filtered->report);
        drain_views(id, *node);
    } else if (const auto* alive = std::get_if<MappingAlive>(&message)) {
        node->view(alive->family).handle_alive(now, alive->socket);
        drain_views(id, *node);
    } else if (const auto* meet = std::get_if<Meet>(&message)) {
        for (auto& [name, pair] : pairs_)
            if (pair.client == id && name.id == meet->pair && !pair.is_busy())
                pair.due = std::min(pair.due, now);
    } else if (const auto* punched = std::get_if<Punched>(&message)) {
        handle_punched(now, id, *punched);
    }
    handle_timeout(now);
}

void Rendezvous::handle_rtt(SessionId id, Duration rtt)
{
    if (Node* node = find(id))
        node->rtt = rtt;
}

void Rendezvous::handle_candidates(Instant now, SessionId id, Node& node,
                                   const Candidates& candidates)
{
    const bool changed = !node.own.empty() && node.own != candidates.addresses;
    node.own = candidates.addresses;
    node.has_told = true;
    std::vector<IpAddress> v4, v6;
    for (const SocketAddress& own : node.own)
        (own.ip.is_v4() ? v4 : v6).push_back(own.ip);
    node.v4.handle_own_addresses(now, std::move(v4));
    node.v6.handle_own_addresses(now, std::move(v6));
    if (!changed)
        return;
    for (auto& [name, pair] : pairs_)
        if ((pair.client == id || pair.agent == id) && shares_address(ends_of(pair)))
            pair.due = std::min(pair.due, now);
}

/// A router that has just agreed to forward a port may make a way where there was none.
void Rendezvous::handle_mapped_port(Instant now, SessionId id, Node& node,
                                    const std::optional<MappedPort>& mapped)
{
    if (node.mapped == mapped)
        return;
    node.mapped = mapped;
    for (auto& [name, pair] : pairs_)
        if (mapped && !pair.has_opened && (pair.client == id || pair.agent == id))
            pair.due = std::min(pair.due, now);
}

/// What the survey calls the socket that a datagram came to. An address that is not known is the
/// gateway's own behind a NAT, and taken for the first: others cannot be told from it then.
nat::GatewaySocket Rendezvous::place_of(const Arrival& arrival) const
{
    nat::GatewaySocket place{.address = 0, .port = static_cast<unsigned>(arrival.port)};
    if (std::ranges::find(config_.addresses, arrival.at) == config_.addresses.end())
        return place;
    for (const IpAddress& ip : config_.addresses) {
        if (ip == arrival.at)
            break;
        if (ip.is_v4() == arrival.at.is_v4())
            ++place.address;
    }
    return place;
}

void Rendezvous::drain_views(SessionId id, Node& node)
{
    for (const Family family : {Family::v4, Family::v6}) {
        NodeView& view = node.view(family);
        while (auto request = view.poll_request())
            messages_.push_back({id, SurveyRequest{family, std::move(*request)}});
        while (const auto transmit = view.poll_transmit()) {
            IpAddress from = view.probed(); // behind a NAT it has another name than in config_
            unsigned address = 0;
            for (const IpAddress& ip : config_.addresses)
                if (ip.is_v4() == (family == Family::v4) &&
                    address++ == transmit->from.address && transmit->from.address > 0)
                    from = ip;
            const wire::Probe probe{.kind = wire::ProbeKind::filter,
                                    .socket =
                                        static_cast<std::uint8_t>(gateway_place(transmit->from)),
                                    .seen = {}};
            transmits_.push_back({.port = transmit->from.port,
                                  .from = from,
                                  .to = transmit->to,
                                  .packet = node.channel.seal(probe, *random_)});
        }
        if (view.poll_described())
            messages_.push_back(
                {id, NatDescription{family, nat::describe(*view.behaviour()), view.behaviour()}});
        if (view.poll_finished())
            newly_surveyed_.push_back(id);
    }
    if (std::min(node.v4.deadline(), node.v6.deadline()) == never)
        surveyed_.erase(id);
    else
        surveyed_.insert(id);
}

std::optional<nat::ProbePacket> Rendezvous::handle_datagram(Instant now, const Arrival& arrival,
                                                            Bytes datagram)
{
    const auto id = wire::probe_id(datagram);
    const auto owner = id ? channels_.find(*id) : channels_.end();
    if (owner == channels_.end()) {
        if (const auto sampled = id ? attempts_.find(*id) : attempts_.end();
            sampled != attempts_.end())
            handle_sample(now, arrival, PairName{sampled->second}, datagram);
        return std::nullopt;
    }
    Node& node = nodes_.at(owner->second);
    const auto probe = node.channel.open(datagram);
    if (!probe || probe->sender != sender_of(node.role) || probe->kind != wire::ProbeKind::survey)
        return std::nullopt;
    const nat::GatewaySocket place = place_of(arrival);
    const auto period = static_cast<std::uint64_t>(now.time_since_epoch() / cookie_period);
    const std::uint64_t cookie = cookie_for(node.cookie_key, arrival.from, period);
    const bool is_proof =
        probe->cookie == cookie ||
        probe->cookie == cookie_for(node.cookie_key, arrival.from, period - 1);
    const bool is_main = place == nat::GatewaySocket{} && probe->socket == nat::mapping_socket;
    const bool proved =
        check_place(now, owner->second, node, arrival, is_main, is_proof);
    NodeView& view = arrival.from.ip.is_v4() ? node.v4 : node.v6;
    const bool was_observed = is_observed(node);
    const bool was_unknown = !view.observed();
    const bool moved = view.handle_probe(now,
                                         {.socket = probe->socket,
                                          .local_port = probe->local_port,
                                          .at = place,
                                          .seen = arrival.from,
                                          .ttl = arrival.ttl},
                                         arrival.at, proved);
    if (config_.addresses.empty()) // then only one family is probed
        (arrival.from.ip.is_v4() ? node.v6 : node.v4).expect_nothing();
    // Also when it was thought to be blocked, and that was all that spoke against an attempt, or when
    // the round has begun without its address: its first probes or their answers were lost.
    if (moved || (was_unknown && view.observed()))
        for (auto& [name, pair] : pairs_)
            if ((pair.client == owner->second || pair.agent == owner->second) &&
                (moved || pair.is_unreachable || (pair.was_unseen && !pair.has_opened)))
                pair.due = std::min(pair.due, now);
    drain_views(owner->second, node);
    if (!was_observed && is_observed(node))
        node.observed_at = now;
    // The others only keep a mapping alive, and come often.
    if (moved || was_unknown || !newly_surveyed_.empty())
        handle_timeout(now);
    return node.channel.seal({.kind = wire::ProbeKind::observed,
                              .token = probe->token,
                              .socket = static_cast<std::uint8_t>(arrival.port),
                              .seen = arrival.from,
                              .cookie = cookie},
                             *random_);
}

/// Returns whether the node is really where the datagram came from; `is_proof`: it has the cookie.
bool Rendezvous::check_place(Instant now, SessionId id, Node& node, const Arrival& arrival,
                             bool is_main, bool is_proof)
{
    const SocketAddress& from = arrival.from;
    Node::Place& place = from.ip.is_v4() ? node.place_v4 : node.place_v6;
    const bool is_there = place.address == from;
    if (!is_proof)
        return is_there;
    (from.ip.is_v4() ? node.v4 : node.v6).handle_proved(from.ip);
    if (is_main && (!is_there || now >= place.told_at + retell_interval)) {
        place = {from, now};
        proved_.push_back({id, from, arrival.at});
    }
    return true;
}

bool Rendezvous::is_observed(const Node& node)
{
    return node.v4.observed() || node.v6.observed();
}

/// When enough is known of where it is, if nothing else comes.
Instant Rendezvous::ready_at(const Node& node) const
{
    if (!is_observed(node))
        return never;
    const auto is_missing = [&](bool v4) {
        const auto is_of_family = [v4](const IpAddress& ip) { return ip.is_v4() == v4; };
        const auto may_come = !node.has_told ||
                              std::ranges::any_of(node.own, is_of_family, &SocketAddress::ip);
        return may_come && std::ranges::any_of(config_.addresses, is_of_family) &&
               !(v4 ? node.v4 : node.v6).observed();
    };
    const bool waits = is_missing(true) || is_missing(false);
    return waits ? node.observed_at + config_.other_family_wait : Instant{};
}

/// Of its next round.
Instant Rendezvous::due_at(const Pair& pair) const
{
    if (pair.due == never)
        return never;
    const Instant allowed =
        pair.attempts == 0 ? Instant{} : pair.last + config_.shortest_interval;
    const Instant ready =
        std::max(ready_at(nodes_.at(pair.client)), ready_at(nodes_.at(pair.agent)));
    return std::max({pair.due, allowed, std::min(ready, pair.give_up)});
}

void Rendezvous::handle_timeout(Instant now)
{
    for (const SessionId id : std::set{surveyed_}) {
        Node& node = nodes_.at(id);
        node.v4.handle_timeout(now);
        node.v6.handle_timeout(now);
        drain_views(id, node);
    }
    while (!newly_surveyed_.empty()) {
        const SessionId id = newly_surveyed_.back();
        newly_surveyed_.pop_back();
        handle_survey_end(now, id);
    }
    for (auto& [name, pair] : pairs_) {
        if (pair.running && now >= pair.running->end_at) {
            end_attempt(pair);
            continue_round(now, name, pair);
        } else if (pair.waits_for_turn && may_spray(pair, (*pair.ladder)[pair.next].family)) {
            continue_round(now, name, pair);
        }
        if (now >= due_at(pair))
            begin_round(now, name, pair);
    }
}

// ---- rounds

PairEnds Rendezvous::ends_of(const Pair& pair) const
{
    const Node& client = nodes_.at(pair.client);
    const Node& agent = nodes_.at(pair.agent);
    return {
        .client = {.v4 = &client.v4,
                   .v6 = &client.v6,
                   .own = &client.own,
                   .mapped = &client.mapped},
        .agent = {.v4 = &agent.v4, .v6 = &agent.v6, .own = &agent.own, .mapped = &agent.mapped}};
}

void Rendezvous::begin_round(Instant now, const PairName& name, Pair& pair)
{
    end_attempt(pair);
    pair.due = never;
    pair.last = now;
    pair.was_unseen = !external(ends_of(pair), Family::v4) && !external(ends_of(pair), Family::v6);
    pair.has_tried_first = false;
    pair.is_unreachable = false;
    pair.has_opened = false;
    pair.ladder.reset();
    pair.next = 0;
    continue_round(now, name, pair);
}

void Rendezvous::continue_round(Instant now, const PairName& name, Pair& pair)
{
    const PairEnds ends = ends_of(pair);
    pair.waits_for_survey = pair.waits_for_turn = false;
    if (!pair.ladder && !is_surveyed(ends)) {
        if (!std::exchange(pair.has_tried_first, true))
            attempt(now, name, pair, first_rung());
        else
            pair.waits_for_survey = nodes_.at(pair.client).is_being_surveyed() ||
                                    nodes_.at(pair.agent).is_being_surveyed();
        return;
    }
    if (!pair.ladder) {
        pair.ladder = best_first(ends);
        if (pair.ladder->empty() && shares_address(ends) && !pair.has_tried_first)
            pair.ladder->push_back(first_rung());
        if (pair.ladder->empty())
            if (std::string why = why_unreachable(ends); !why.empty()) {
                pair.is_unreachable = true;
                messages_.push_back(
                    {pair.client, Unreachable{.pair = name.id, .message = std::move(why)}});
            }
        // What the first attempt has done already.
        if (pair.has_tried_first)
            std::erase_if(*pair.ladder, [](const Rung& rung) {
                return rung.step.technique == nat::Technique::observed &&
                       !rung.step.fresh_sockets && !rung.step.every_address;
            });
    }
    if (pair.next == pair.ladder->size())
        return;
    const Rung rung = (*pair.ladder)[pair.next];
    pair.waits_for_turn = sprays(rung) && !may_spray(pair, rung.family);
    if (pair.waits_for_turn)
        return;
    ++pair.next;
    attempt(now, name, pair, rung);
}

/// Hundreds of mappings and packets are as much as a home's router should get at once: no other
/// pair's end that does this may be the same node, or behind the same address.
bool Rendezvous::may_spray(const Pair& pair, Family family) const
{
    const auto places_of = [&](const Pair& one) {
        const PairEnds ends = ends_of(one);
        return std::array{ends.client.view(family).observed(), ends.agent.view(family).observed()};
    };
    const auto shares_place = [&](const Pair& other) {
        for (const auto& here : places_of(pair))
            for (const auto& there : places_of(other))
                if (here && there && here->ip == there->ip)
                    return true;
        return false;
    };
    return std::ranges::none_of(pairs_, [&](const auto& entry) {
        const Pair& other = entry.second;
        return &other != &pair && other.running && sprays(other.running->rung) &&
               (other.client == pair.client || other.agent == pair.agent || shares_place(other));
    });
}

/// What the first attempt cannot do may be known before it has failed.
void Rendezvous::handle_survey_end(Instant now, SessionId id)
{
    for (auto& [name, pair] : pairs_) {
        if (pair.client != id && pair.agent != id)
            continue;
        const PairEnds ends = ends_of(pair);
        if (pair.running && pair.running->is_first && is_surveyed(ends) && !shares_address(ends)) {
            const std::vector<Rung> ladder = ladder_for(ends);
            if (ladder.empty() || ladder.front().step.technique == nat::Technique::observed)
                continue;
            end_attempt(pair);
            continue_round(now, name, pair);
        } else if (pair.waits_for_survey) {
            continue_round(now, name, pair);
        } else if (pair.is_unreachable) {
            pair.due = std::min(pair.due, now);
        }
    }
}

void Rendezvous::handle_punched(Instant now, SessionId client, const Punched& punched)
{
    for (auto& [name, pair] : pairs_) {
        if (pair.client != client || name.id != punched.pair || !pair.running ||
            pair.attempts != punched.attempt)
            continue;
        pair.has_opened = punched.opened;
        if (punched.opened)
            remember(pair);
        end_attempt(pair);
        if (!punched.opened)
            continue_round(now, name, pair);
    }
}

void Rendezvous::end_attempt(Pair& pair)
{
    if (pair.running)
        attempts_.erase(pair.running->channel.id());
    pair.running.reset();
}

std::optional<Rendezvous::External> Rendezvous::external(const PairEnds& ends, Family family)
{
    const auto& client = ends.client.view(family).observed();
    const auto& agent = ends.agent.view(family).observed();
    if (!client || !agent)
        return std::nullopt;
    return External{client->ip, agent->ip};
}

void Rendezvous::remember(const Pair& pair)
{
    const Rung& rung = pair.running->rung;
    const auto key = external(ends_of(pair), rung.family);
    if (!key || pair.running->is_first)
        return;
    if (worked_.insert_or_assign(*key, rung).second)
        oldest_worked_.push_back(*key);
    if (oldest_worked_.size() > most_remembered) {
        worked_.erase(oldest_worked_.front());
        oldest_worked_.pop_front();
    }
}

std::vector<Rung> Rendezvous::best_first(const PairEnds& ends) const
{
    std::vector<Rung> ladder = ladder_for(ends);
    std::stable_partition(ladder.begin(), ladder.end(), [&](const Rung& rung) {
        const auto key = external(ends, rung.family);
        const auto worked = key ? worked_.find(*key) : worked_.end();
        return worked != worked_.end() && worked->second.step.technique == rung.step.technique &&
               worked->second.step.fresh_sockets == rung.step.fresh_sockets &&
               worked->second.step.first == rung.step.first;
    });
    return ladder;
}

// ---- attempts

/// From now until both ends can begin.
Duration Rendezvous::fire_time(const Pair& pair) const
{
    return std::max(half_trip(nodes_.at(pair.client).rtt), half_trip(nodes_.at(pair.agent).rtt)) +
           margin;
}

void Rendezvous::attempt(Instant now, const PairName& name, Pair& pair, const Rung& rung)
{
    nat::ProbeCredentials credentials;
    random_->fill(credentials.id);
    random_->fill(credentials.key);
    if (channels_.contains(credentials.id) || !attempts_.emplace(credentials.id, name).second)
        return; // 64 random bits twice: no attempt
    ++pair.attempts;
    AttemptOrders orders = orders_for(rung, ends_of(pair), {});
    const Duration fire = fire_time(pair);
    const Duration time = std::max(orders.client.time, orders.agent.time);
    pair.running = Attempt{.rung = rung,
                           .is_first = rung == first_rung(),
                           .channel = {credentials, wire::ProbeSender::gateway},
                           .samples = {},
                           .client_waits = orders.client.punch.wait,
                           .agent_waits = orders.agent.punch.wait,
                           .end_at = now + fire + time + nat::Puncher::aim_limit + grace};

    const auto send = [&](SessionId to, Orders& order, std::optional<crypto::Pin> client_key) {
        Punch& punch = order.punch;
        punch.pair = name.id;
        punch.client_key = client_key;
        punch.channel = credentials;
        punch.attempt = pair.attempts;
        punch.fire_in_ms = milliseconds_of(fire + order.delay - half_trip(nodes_.at(to).rtt));
        punch.time_ms = milliseconds_of(order.time);
        messages_.push_back({to, std::move(punch)});
    };
    send(pair.client, orders.client, std::nullopt);
    send(pair.agent, orders.agent, name.client_key);
}

void Rendezvous::handle_sample(Instant now, const Arrival& arrival, const PairName& name,
                               Bytes datagram)
{
    const auto found = pairs_.find(name);
    if (found == pairs_.end() || !found->second.running || arrival.port != 0)
        return;
    Pair& pair = found->second;
    Attempt& attempt = *pair.running;
    const auto probe = attempt.channel.open(datagram);
    if (!probe || probe->kind != wire::ProbeKind::sample || probe->socket != 0)
        return;
    // Both ends have the key, but only from its own address can an end say something about itself.
    const bool is_client = probe->sender == wire::ProbeSender::client;
    const PairEnds ends = ends_of(pair);
    const Family family = arrival.from.ip.is_v4() ? Family::v4 : Family::v6;
    const std::vector<IpAddress> known =
        (is_client ? ends.client : ends.agent).view(family).external_addresses();
    if (family != attempt.rung.family || std::ranges::find(known, arrival.from.ip) == known.end())
        return;
    auto& sample = is_client ? attempt.samples.client : attempt.samples.agent;
    if (sample)
        return;
    sample = arrival.from;
    aim_if_possible(name, pair);
    handle_timeout(now);
}

/// Ends that both wait are told at the same time.
void Rendezvous::aim_if_possible(const PairName& name, Pair& pair)
{
    Attempt& attempt = *pair.running;
    AttemptOrders orders = orders_for(attempt.rung, ends_of(pair), attempt.samples);
    const bool both = attempt.client_waits && attempt.agent_waits;
    if (both && (!orders.client.aimed || !orders.agent.aimed))
        return;
    const Duration fire = fire_time(pair);
    const auto send = [&](SessionId to, bool& waits, Orders& order,
                          std::optional<crypto::Pin> client_key) {
        if (!waits || !order.aimed)
            return;
        waits = false;
        const Duration delay = both ? order.delay : Duration{};
        messages_.push_back(
            {to, Aim{.pair = name.id,
                     .client_key = client_key,
                     .attempt = pair.attempts,
                     .fire_in_ms = milliseconds_of(fire + delay - half_trip(nodes_.at(to).rtt)),
                     .candidates = std::move(order.punch.candidates),
                     .spray = std::move(order.punch.spray)}});
    };
    send(pair.client, attempt.client_waits, orders.client, std::nullopt);
    send(pair.agent, attempt.agent_waits, orders.agent, name.client_key);
}

std::optional<Rendezvous::Send> Rendezvous::poll_message()
{
    if (messages_.empty())
        return std::nullopt;
    Send send = std::move(messages_.front());
    messages_.pop_front();
    return send;
}

std::optional<Rendezvous::Transmit> Rendezvous::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    const Transmit transmit = transmits_.front();
    transmits_.pop_front();
    return transmit;
}

std::optional<Rendezvous::Proved> Rendezvous::poll_proved()
{
    if (proved_.empty())
        return std::nullopt;
    const Proved proved = proved_.front();
    proved_.pop_front();
    return proved;
}

Instant Rendezvous::deadline() const
{
    Instant next = never;
    for (const SessionId id : surveyed_) {
        const Node& node = nodes_.at(id);
        next = std::min({next, node.v4.deadline(), node.v6.deadline()});
    }
    for (const auto& [name, pair] : pairs_) {
        if (pair.running)
            next = std::min(next, pair.running->end_at);
        next = std::min(next, due_at(pair));
    }
    return next;
}

} // namespace narrowlink::control

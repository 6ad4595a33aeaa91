#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/access/token.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/crypto/identity.hpp"
#include "narrowlink/nat/behaviour.hpp"
#include "narrowlink/nat/candidate.hpp"
#include "narrowlink/nat/probe_channel.hpp"
#include "narrowlink/nat/puncher.hpp"
#include "narrowlink/nat/survey.hpp"
#include "narrowlink/wire/pair.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace narrowlink::control {

/// The control messages; docs/protocol.md §4 has their JSON. Each is one text WebSocket message.

inline constexpr std::size_t max_message_size = 64 * 1024;
inline constexpr std::size_t max_name_size = 64;      ///< of names, features, software; UTF-8 bytes
inline constexpr std::size_t max_sentence_size = 512; ///< of `message` members
inline constexpr std::size_t max_features = 32;
inline constexpr std::size_t max_policies = access::max_policies;
inline constexpr std::size_t max_agents_per_message = 50;
inline constexpr std::size_t max_candidates = 32;
inline constexpr std::size_t max_probe_ports = 8;
inline constexpr std::size_t max_survey_sockets = 18;
inline constexpr std::size_t max_survey_targets = 16;
inline constexpr std::size_t max_survey_rounds = 4;
inline constexpr std::size_t max_punch_sockets = 256;
inline constexpr std::uint32_t max_punch_time_ms = 60'000;

/// The feature of nodes and gateways that look for direct paths; only with it come the messages from
/// Observe on.
inline constexpr std::string_view direct_feature = "direct";
inline constexpr std::string_view udp_relay_feature = "udp-relay";
/// Of nodes that know the lifetime step of surveys.
inline constexpr std::string_view mapping_lifetime_feature = "mapping-lifetime";

/// Versions of this protocol that this code speaks.
inline constexpr std::uint32_t oldest_version = 1;
inline constexpr std::uint32_t newest_version = 1;

/// Which of the two nodes of a gateway; its token says so.
enum class Role { agent, client };

std::string_view to_string(Role);

/// Names one process of a node: random, made when it starts. A peer sees from it that the process
/// it knew, with its QUIC connections, is gone.
using InstanceId = wire::RandomId<struct InstanceTag>;

/// node → gateway, first.
struct Hello {
    std::uint32_t version_min = oldest_version;
    std::uint32_t version_max = newest_version;
    std::vector<std::string> features;
    crypto::Pin key; ///< of the node's QUIC certificate
    InstanceId instance;
    std::string software;
    std::vector<std::string> policies; ///< policy tokens; clients only

    bool operator==(const Hello&) const = default;
};

/// gateway → node: the hello is accepted.
struct Welcome {
    std::uint32_t version = newest_version;
    std::vector<std::string> features; ///< those that both ends have
    std::string session;               ///< for logs; a node does not interpret it
    std::string name;
    std::string user;

    bool operator==(const Welcome&) const = default;
};

/// Both ways; answered by Pong with the same id.
struct Ping {
    std::uint64_t id = 0;

    bool operator==(const Ping&) const = default;
};

struct Pong {
    std::uint64_t id = 0;

    bool operator==(const Pong&) const = default;
};

/// client → gateway: which agents are there?
struct List {
    std::uint64_t id = 0;

    bool operator==(const List&) const = default;
};

struct Agent {
    std::string name;
    InstanceId instance;
    crypto::Pin key;
    std::string software;
    std::uint64_t connected_seconds = 0;
    std::optional<std::string> address; ///< where the gateway sees it
    std::optional<std::string> nat = {}; ///< what stands before it, for people
    std::optional<std::string> port_mapping = {}; ///< likewise

    bool operator==(const Agent&) const = default;
};

/// gateway → client: the answer to List, in one or more parts; `more` on all but the last.
struct Agents {
    std::uint64_t id = 0;
    std::vector<Agent> agents;
    bool more = false;

    bool operator==(const Agents&) const = default;
};

/// client → gateway: introduce me to this agent.
struct Introduce {
    std::uint64_t id = 0;
    std::string agent;
    wire::PairId pair;
    bool resume = false; ///< the pair has existed: wait for the agent instead of refusing

    bool operator==(const Introduce&) const = default;
};

/// gateway → client: the pair's carrier is up. Again, with a new handle, whenever it is up again.
struct Introduced {
    wire::PairId pair;
    wire::PairHandle handle{};
    std::string agent;
    crypto::Pin key;     ///< the agent's
    InstanceId instance; ///< the agent's

    bool operator==(const Introduced&) const = default;
};

/// gateway → agent: the same for the other end, with what the client may reach.
struct Introduction {
    wire::PairId pair;
    wire::PairHandle handle{};
    std::string client;
    std::string user;
    crypto::Pin key;     ///< the client's
    InstanceId instance; ///< the client's
    std::vector<access::Policy> policies;

    bool operator==(const Introduction&) const = default;
};

enum class RefusalReason {
    no_such_agent, ///< unknown, not connected or not visible: the client is not told which
    limit,         ///< the client has too many pairs
    other,         ///< a reason this version does not know
};

std::string_view to_string(RefusalReason);

/// gateway → client: the answer to an Introduce that led to nothing.
struct Refused {
    std::uint64_t id = 0;
    RefusalReason reason = RefusalReason::other;
    std::string message;

    bool operator==(const Refused&) const = default;
};

/// What these three name is a pair. An agent needs the client's key as well, because two clients
/// may have chosen the same PairId: between gateway and agent `client_key` is always there,
/// between gateway and client never.
///
/// gateway → node: the other end's session is gone; the carrier is down until the pair is
/// introduced again.
struct Interrupted {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key;

    bool operator==(const Interrupted&) const = default;
};

/// node → gateway: this end has ended the pair.
struct Release {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key;

    bool operator==(const Release&) const = default;
};

/// gateway → node: the other end, or the gateway, has ended the pair.
struct Released {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key;

    bool operator==(const Released&) const = default;
};

/// gateway → node, behind the welcome: probe these ports over UDP.
struct Observe {
    nat::ProbeCredentials channel;
    std::vector<std::uint16_t> ports;  ///< the gateway's main one first
    std::vector<IpAddress> addresses;  ///< of the gateway; empty: those of the control session's host

    bool operator==(const Observe&) const = default;
};

/// A port that a node's router forwards to it, as the node says.
struct MappedPort {
    SocketAddress external;
    std::string protocol; ///< for people, like `nat-pmp`

    bool operator==(const MappedPort&) const = default;
};

/// node → gateway: its own addresses, with the port of its socket.
struct Candidates {
    std::vector<SocketAddress> addresses;
    std::optional<MappedPort> mapped = {};

    bool operator==(const Candidates&) const = default;
};

/// Address families in messages, as in IP's version field.
enum class Family : std::uint8_t { v4 = 4, v6 = 6 };

/// gateway → node: one step of the survey of what stands before it.
struct SurveyRequest {
    Family family = Family::v4;
    nat::SurveyStep step;

    bool operator==(const SurveyRequest&) const = default;
};

/// node → gateway: what has arrived at the socket of the filtering step.
struct Filtered {
    Family family = Family::v4;
    nat::FilterReport report;

    bool operator==(const Filtered&) const = default;
};

/// node → gateway: a packet of the lifetime step has arrived at this socket.
struct MappingAlive {
    Family family = Family::v4;
    unsigned socket = 0;

    bool operator==(const MappingAlive&) const = default;
};

/// What a node says in a survey.
using SurveyAnswer = std::variant<Filtered, MappingAlive>;

/// gateway → node: the survey has ended, with this result, for people.
struct NatDescription {
    Family family = Family::v4;
    std::string text;
    /// The same for programs: reach, mapping, filtering, allocation and lifetime of it only.
    std::optional<nat::Behaviour> behaviour = {};

    bool operator==(const NatDescription&) const = default;
};

/// client → gateway: try again to find a direct path for this pair.
struct Meet {
    wire::PairId pair;

    bool operator==(const Meet&) const = default;
};

/// gateway → both nodes of a pair: send probes to each other now. Names the pair as Interrupted does.
struct Punch {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key;
    nat::ProbeCredentials channel; ///< of this attempt
    std::uint32_t attempt = 0;
    std::uint32_t fire_in_ms = 0; ///< from now, so that the probes of both sides cross
    std::vector<nat::Candidate> candidates;

    // Below: optional in JSON; see nat::PunchPlan.
    std::optional<nat::Spray> spray;
    std::uint32_t sockets = 1;
    /// Not the main sockets, but new ones of `family` for this attempt.
    bool fresh = false;
    Family family = Family::v4;
    bool sample = false; ///< socket 0 sends samples to the gateway's main port first
    bool wait = false;   ///< the targets come in an Aim
    std::uint8_t first_ttl = 4;
    std::uint8_t retry_ttl = 0;
    std::uint32_t retry_after_ms = 1'000;
    std::uint32_t packets = nat::most_packets;
    std::uint32_t time_ms = 2'500;

    bool operator==(const Punch&) const = default;
};

/// gateway → node: the targets of an attempt that waits for them.
struct Aim {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key;
    std::uint32_t attempt = 0;
    std::uint32_t fire_in_ms = 0;
    std::vector<nat::Candidate> candidates;
    std::optional<nat::Spray> spray;

    bool operator==(const Aim&) const = default;
};

/// client → gateway: how an attempt has ended.
struct Punched {
    wire::PairId pair;
    std::uint32_t attempt = 0;
    bool opened = false;

    bool operator==(const Punched&) const = default;
};

/// gateway → client: there is no way that an attempt could find.
struct Unreachable {
    wire::PairId pair;
    std::string message; ///< why, without a full stop

    bool operator==(const Unreachable&) const = default;
};

/// gateway → both ends: packets of this pair may go as datagrams to the gateway's main probe port.
struct UdpRelay {
    wire::PairId pair;
    std::optional<crypto::Pin> client_key; ///< exactly when it goes to an agent

    bool operator==(const UdpRelay&) const = default;
};

enum class ClosingReason {
    replaced,       ///< a newer session of the same agent took its place
    revoked,        ///< the node's token was revoked
    expired,        ///< the node's token has expired
    unauthorized,   ///< a policy token of the hello was not accepted
    shutdown,       ///< the gateway stops or restarts
    protocol_error, ///< the node broke the protocol
    version,        ///< no version in common
    limit,          ///< the gateway has no room for this node
    silence,        ///< the node was not heard for too long
    other,          ///< a reason this version does not know
};

std::string_view to_string(ClosingReason);

/// Can the same node with the same token be accepted later without a person doing something?
bool may_retry(ClosingReason);

/// gateway → node, last; the WebSocket is closed after it.
struct Closing {
    ClosingReason reason = ClosingReason::other;
    std::string message;

    bool operator==(const Closing&) const = default;
};

/// A message of a type that this version does not know; it is ignored.
struct Unknown {
    std::string type;

    bool operator==(const Unknown&) const = default;
};

using Message =
    std::variant<Hello, Welcome, Ping, Pong, List, Agents, Introduce, Introduced, Introduction,
                 Refused, Interrupted, Release, Released, Observe, Candidates, SurveyRequest, Filtered,
                 MappingAlive, NatDescription, Meet, Punch, Aim, Punched, Unreachable, UdpRelay,
                 Closing, Unknown>;

/// A name that messages can carry: 1 to max_name_size bytes of UTF-8 without control characters.
bool is_valid_name(std::string_view name);

/// Sentences are cut to max_sentence_size, at a character; their control characters become `?`.
std::string format(const Message&);

/// Members that this version does not know are ignored, unknown types become Unknown.
/// Errors: control::Error.
Result<Message> parse(std::string_view text);

} // namespace narrowlink::control

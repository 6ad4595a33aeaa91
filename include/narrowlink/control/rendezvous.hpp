#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/control/ladder.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/control/node_view.hpp"
#include "narrowlink/nat/probe_channel.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace narrowlink::control {

using wire::SessionId;

/// What a node that probes can do besides.
struct NodeFeatures {
    bool direct = true;            ///< direct_feature
    bool mapping_lifetime = false; ///< mapping_lifetime_feature
};

/// The gateway's part in finding direct paths: it sees from where each node's probes come, and
/// tells both ends of a pair to send probes to each other at the same time, one step of
/// nat::choose() after the other until one has led to a path.
///
/// The only addresses that nodes are told to send to are those where the peer has proved to be, by
/// repeating in a probe what was sent there, and, behind the same NAT, private ones that the peer says
/// it has there: a node may not turn another one against strangers.
///
/// Contract: after each call drain poll_message(), in order, then wait until deadline(). Calls for
/// a session that is not known do nothing.
class Rendezvous {
public:
    struct Config {
        std::vector<std::uint16_t> ports; ///< probed by nodes; the main one first
        std::vector<IpAddress> addresses; ///< as in Observe
        Duration longest_wait =
            std::chrono::seconds{1}; ///< of a new pair, for its nodes' first probes
        /// After the first probe of a node, for those of its other address family.
        Duration other_family_wait = std::chrono::milliseconds{200};
        Duration shortest_interval = std::chrono::seconds{2}; ///< between two attempts of a pair
    };

    struct Send {
        SessionId to;
        Message message;
    };

    /// How a datagram came.
    struct Arrival {
        std::size_t port = 0; ///< its place in `ports`
        SocketAddress from;
        IpAddress at;         ///< the gateway's address it was sent to
        std::uint8_t ttl = 0; ///< that was left; 0: unknown
    };

    /// A datagram to send that is no answer.
    struct Transmit {
        std::size_t port = 0; ///< from here
        IpAddress from;
        SocketAddress to;
        nat::ProbePacket packet;
    };

    /// The name of a pair, as its two ends are told it.
    struct PairName {
        crypto::Pin client_key;
        wire::PairId id;

        auto operator<=>(const PairName&) const = default;
    };

    Rendezvous(Config config, Random& random);

    /// A node that probes. `name` is the same in all sessions of the node.
    void add_session(Instant now, SessionId, Role, const std::string& name = {},
                     NodeFeatures features = {});
    void remove_session(SessionId);

    /// Both ends are connected, through these sessions; removed with either of them.
    void add_pair(Instant now, PairName, SessionId client, SessionId agent);
    void remove_pair(const PairName&);

    /// Candidates, Filtered, MappingAlive, Meet and Punched; other messages do nothing.
    void handle(Instant now, SessionId, const Message&);

    void handle_rtt(SessionId, Duration rtt);

    /// What is returned goes back to where the datagram came from, from where it came to; nothing
    /// does for what is not authentic.
    std::optional<nat::ProbePacket> handle_datagram(Instant now, const Arrival&, Bytes datagram);

    void handle_timeout(Instant now);

    std::optional<Send> poll_message();
    std::optional<Transmit> poll_transmit();

    /// Is there anything to poll?
    [[nodiscard]] bool has_output() const
    {
        return !messages_.empty() || !transmits_.empty() || !proved_.empty();
    }

    /// A node has proved where its main socket is, by repeating what only that address was sent. Told again
    /// while it goes on to prove it, at most once in 20 s.
    struct Proved {
        SessionId session;
        SocketAddress address;
        IpAddress at; ///< the gateway's address that it sends to
    };

    std::optional<Proved> poll_proved();
    [[nodiscard]] Instant deadline() const;

private:
    struct Node {
        struct Place {
            std::optional<SocketAddress> address;
            Instant told_at{}; ///< in proved_
        };

        Role role;
        bool punches;
        nat::ProbeChannel channel;
        Duration rtt{};
        NodeView v4, v6;
        std::vector<SocketAddress> own; ///< what it says of itself
        bool has_told = false;          ///< own addresses
        Instant observed_at = never;    ///< first, in any family
        std::optional<MappedPort> mapped;

        std::array<std::byte, 32> cookie_key{};        ///< of the cookies that it has to repeat
        Place place_v4, place_v6; ///< of the main socket, proved

        NodeView& view(Family family) { return family == Family::v4 ? v4 : v6; }

        [[nodiscard]] bool is_being_surveyed() const
        {
            return v4.is_being_surveyed() || v6.is_being_surveyed();
        }
    };

    struct Attempt {
        Rung rung;
        bool is_first; ///< made before anything was known
        nat::ProbeChannel channel;
        Samples samples;
        bool client_waits, agent_waits; ///< for the targets
        Instant end_at;                 ///< if the client does not say how it went
    };

    using External = std::pair<IpAddress, IpAddress>; ///< of client and agent

    static constexpr std::size_t most_remembered = 4'096;

    struct Pair {
        SessionId client, agent;
        std::uint32_t attempts = 0;
        Instant due = never;     ///< of the next round of attempts
        Instant give_up = never; ///< of the wait for probes
        Instant last{};          ///< begin of the latest round

        // Of the round.
        std::optional<Attempt> running;
        bool waits_for_survey = false;
        bool waits_for_turn = false; ///< another pair sprays through the same NAT
        bool has_tried_first = false;
        bool was_unseen = false;                 ///< when it began: an end, in each family
        bool is_unreachable = false;             ///< the client was told
        bool has_opened = false;                 ///< a path
        std::optional<std::vector<Rung>> ladder; ///< once it is known
        std::size_t next = 0;

        [[nodiscard]] bool is_busy() const
        {
            return running || waits_for_survey || waits_for_turn;
        }
    };

    Node* find(SessionId);
    bool check_place(Instant now, SessionId, Node&, const Arrival&, bool is_main, bool is_proof);
    [[nodiscard]] nat::GatewaySocket place_of(const Arrival&) const;
    void handle_candidates(Instant now, SessionId, Node&, const Candidates&);
    void handle_mapped_port(Instant now, SessionId, Node&, const std::optional<MappedPort>&);
    void drain_views(SessionId, Node&);
    static bool is_observed(const Node&);
    [[nodiscard]] Instant ready_at(const Node&) const;
    [[nodiscard]] Instant due_at(const Pair&) const;
    void handle_punched(Instant now, SessionId, const Punched&);
    void handle_sample(Instant now, const Arrival&, const PairName&, Bytes datagram);
    void handle_survey_end(Instant now, SessionId);
    [[nodiscard]] PairEnds ends_of(const Pair&) const;
    [[nodiscard]] Duration fire_time(const Pair&) const;
    void begin_round(Instant now, const PairName&, Pair&);
    void continue_round(Instant now, const PairName&, Pair&);
    void end_attempt(Pair&);
    void attempt(Instant now, const PairName&, Pair&, const Rung&);
    [[nodiscard]] bool may_spray(const Pair&, Family) const;
    void aim_if_possible(const PairName&, Pair&);
    void remember(const Pair&);
    [[nodiscard]] std::vector<Rung> best_first(const PairEnds&) const;
    static std::optional<External> external(const PairEnds&, Family);

    Config config_;
    Random* random_;
    std::map<SessionId, Node> nodes_;
    std::map<wire::ProbeId, SessionId> channels_;
    std::set<SessionId> surveyed_; ///< those whose views have a deadline
    NatMemory memory_;
    std::map<PairName, Pair> pairs_;
    std::map<wire::ProbeId, PairName> attempts_;
    std::map<External, Rung> worked_;
    std::deque<External> oldest_worked_;
    std::vector<SessionId> newly_surveyed_;
    std::deque<Send> messages_;
    std::deque<Transmit> transmits_;
    std::deque<Proved> proved_;
};

} // namespace narrowlink::control

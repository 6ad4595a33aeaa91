#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/candidate.hpp"
#include "narrowlink/nat/technique.hpp"
#include "narrowlink/wire/probe.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace narrowlink::nat {

/// Ports of the peer of which one may be right: `count` of them from `first` on, `step` apart.
struct Spray {
    enum class Order : std::uint8_t { sequential, random };

    std::vector<IpAddress> addresses;
    std::uint16_t first = 1;
    std::uint32_t count = 1;
    int step = 1;
    Order order = Order::sequential;

    /// The i-th port in the order of sending, without repeating one before `count`.
    [[nodiscard]] std::uint16_t port(std::uint32_t i) const;

    bool operator==(const Spray&) const = default;
};

/// Where to send to, and when to begin.
struct PunchTargets {
    Duration fire_in{};
    std::vector<Candidate> candidates; ///< of the peer
    std::optional<Spray> spray;
};

/// What one side of a pair has to do, as the gateway says.
struct PunchPlan {
    bool is_client = false;
    PunchTargets targets;
    unsigned sockets = 1;       ///< numbered from 0
    std::uint8_t first_ttl = 4; ///< of a packet before all others, 0: none; see Part
    /// If not 0, only packets with these two TTLs are sent to the candidates, from each socket.
    std::uint8_t retry_ttl = 0;
    Duration retry_after = retry_ttl_delay;
    unsigned packets = most_packets;
    Duration time = std::chrono::milliseconds{2'500}; ///< for all of it, once it has begun
    bool samples = false;                             ///< the gateway has to see socket 0 before
    bool waits = false;                               ///< the targets come later, with aim()
};

/// One attempt to open a way between two nodes, on one side of it: when to send which probe to
/// where, and which way was found. Sockets and seals are its owner's.
///
/// Each side sends punches to all candidates of the other. A valid punch is answered to where it
/// came from, and punched in return; an answer is confirmed. Thus whichever side's NAT lets
/// something through first, both learn of an address pair that works in both directions.
///
/// Contract: after each call drain poll_transmit(), then poll_event(), then wait until deadline().
class Puncher {
public:
    static constexpr std::size_t most_targets = 40; ///< candidates and reflexive ones
    static constexpr std::size_t most_answers = 200;
    static constexpr std::size_t most_probes = most_packets + most_answers;
    static constexpr Duration aim_limit = std::chrono::seconds{3};

    Puncher(PunchPlan plan, Instant now);

    /// The targets that were not known when it began.
    void aim(Instant now, PunchTargets targets);

    /// An authentic probe of the peer, at the socket of that number.
    void handle_probe(Instant now, const wire::Probe&, const SocketAddress& from,
                      unsigned socket = 0);
    void handle_timeout(Instant now);

    struct Transmit {
        wire::Probe probe;
        std::optional<SocketAddress> to; ///< nothing: the gateway's main port
        std::uint8_t ttl = 0;            ///< TTL or hop limit; 0: the usual one
        unsigned socket = 0;
    };

    std::optional<Transmit> poll_transmit();

    /// A way that works. The client is told of the best one, once; the agent of each that the peer
    /// may choose.
    struct Opened {
        Candidate remote;
        std::optional<Duration> rtt;
        unsigned socket = 0;
    };

    /// The last event of an attempt that led to nothing.
    struct Failed {};

    using Event = std::variant<Opened, Failed>;

    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    /// Nothing is sent any more but answers.
    [[nodiscard]] bool is_over() const { return is_over_; }

private:
    struct Target {
        unsigned socket = 0;
        Candidate candidate;
        Instant next = never;    ///< when the next punch is due
        bool opener_due = false; ///< that is the one which only has to open our own NAT
        std::size_t sent = 0;
        std::optional<Duration> rtt; ///< the way works
        bool told = false;
        unsigned credit = 0; ///< packets that it may get while its address may be a forged one

        [[nodiscard]] bool may_be_forged() const
        {
            return candidate.kind == CandidateKind::reflexive && !rtt;
        }
    };

    /// A number of packets to addresses that are not known to be right, one every few milliseconds.
    struct Volley {
        Instant next;
        std::size_t left = 0;
        std::size_t sent = 0;
        std::uint8_t ttl = 0;
        bool sprays = false; ///< else to the candidates
    };

    void load(Instant now);
    Target* target_of(const SocketAddress&, unsigned socket);
    Target* find_or_add(Instant now, const SocketAddress&, unsigned socket);
    void sample(Instant now);
    void fire(Instant now, Volley&);
    void punch(Instant now, Target&);
    void send_punch(Instant now, const SocketAddress& to, unsigned socket, std::uint8_t ttl);
    void answer(wire::ProbeKind, std::uint32_t token, Target&);
    static bool use_credit(Target&);
    void handle_answer(Instant now, std::uint32_t token, Target&);
    void tell(Target&);
    void decide(Instant now);

    PunchPlan plan_;
    Instant fire_at_;
    Instant stop_at_; ///< no more punches
    Instant decide_at_ = never;
    std::vector<Target> targets_;
    std::vector<Volley> volleys_;
    Instant next_sample_ = never;
    std::size_t samples_ = 0;
    std::map<std::uint32_t, Instant> sent_at_; ///< punches, by token
    std::uint32_t last_token_ = 0;
    std::size_t punches_ = 0, answers_ = 0;
    Instant latest_; ///< of the times that were passed in
    bool has_opened_ = false;
    bool is_over_ = false;
    std::deque<Transmit> transmits_;
    std::deque<Event> events_;
};

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/candidate.hpp"
#include "narrowlink/wire/probe.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace narrowlink::nat {

/// What one side of a pair has to do, as the gateway says.
struct PunchPlan {
    bool is_client = false;
    Duration fire_in{};
    std::vector<Candidate> candidates; ///< of the peer
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
    static constexpr std::size_t most_probes = 1'600;

    Puncher(PunchPlan plan, Instant now);

    /// An authentic probe of the peer.
    void handle_probe(Instant now, const wire::Probe&, const SocketAddress& from);
    void handle_timeout(Instant now);

    struct Transmit {
        wire::Probe probe;
        SocketAddress to;
        std::uint8_t ttl = 0; ///< TTL or hop limit; 0: the usual one
    };

    std::optional<Transmit> poll_transmit();

    /// A way that works. The client is told of the best one, once; the agent of each that the peer
    /// may choose.
    struct Opened {
        Candidate remote;
        std::optional<Duration> rtt;
    };

    /// The last event of an attempt that led to nothing.
    struct Failed {};

    using Event = std::variant<Opened, Failed>;

    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

private:
    struct Target {
        Candidate candidate;
        Instant next = never; ///< when the next punch is due
        bool opener_due = false; ///< that is the one which only has to open our own NAT
        std::size_t sent = 0;
        std::optional<Duration> rtt; ///< the way works
        bool told = false;
    };

    Target* target_of(const SocketAddress&);
    Target* find_or_add(Instant now, const SocketAddress&);
    void punch(Instant now, Target&);
    void send(wire::ProbeKind, std::uint32_t token, const SocketAddress& to, std::uint8_t ttl = 0);
    void handle_answer(Instant now, std::uint32_t token, const SocketAddress& from);
    void tell(Target&);
    void decide(Instant now);

    PunchPlan plan_;
    Instant fire_at_;
    Instant stop_at_; ///< no more punches
    Instant decide_at_ = never;
    std::vector<Target> targets_;
    std::map<std::uint32_t, Instant> sent_at_; ///< punches, by token
    std::uint32_t last_token_ = 0;
    std::size_t probes_ = 0;
    Instant latest_; ///< of the times that were passed in
    bool has_opened_ = false;
    bool is_over_ = false;
    std::deque<Transmit> transmits_;
    std::deque<Event> events_;
};

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/behaviour.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::nat {

/// How two nodes find each other's mapped address for a direct path.
enum class Technique : std::uint8_t {
    observed,    ///< the mapped address that the gateway saw is good for the peer, too
    prediction,  ///< the next ports of a NAT that counts
    block_spray, ///< all ports of the block of a NAT that has one
    birthday,    ///< random ports, against a NAT that has been made to use many
    none,        ///< the relay
};

std::string_view to_string(Technique);

/// What one side may send in one step of an attempt: 250 packets a second, 1,600 in all.
inline constexpr unsigned packets_per_second = 250;
inline constexpr unsigned most_packets = 1'600;

inline constexpr unsigned most_pool_addresses = 8;

/// When the packets of an observed step go out, after the side's start.
inline constexpr std::array<std::chrono::milliseconds, 6> observed_schedule{
    {std::chrono::milliseconds{0}, std::chrono::milliseconds{20}, std::chrono::milliseconds{50},
     std::chrono::milliseconds{100}, std::chrono::milliseconds{200},
     std::chrono::milliseconds{400}}};

/// How long before the rest a packet with Part::first_ttl goes out.
inline constexpr Duration first_ttl_lead = std::chrono::milliseconds{30};

/// How long after the first ones, if nothing has come, those with Part::retry_ttl go out.
inline constexpr Duration retry_ttl_delay = std::chrono::seconds{1};

/// What one side does in a step. It sends from each of its sockets to each of its targets, socket
/// by socket, until a valid packet comes or `packets` are sent. Answers to valid packets go to
/// where those came from and are not counted.
struct Part {
    unsigned sockets = 1; ///< to send from, each with mappings of its own
    unsigned targets = 1; ///< ports of the peer to send to; 1: the mapped address the gateway saw
    unsigned packets = 0; ///< at most, those with a limited TTL included
    /// TTL or hop limit of one packet from each socket before all others. It makes a mapping and a
    /// filter entry in the own NAT and does not get as far as the peer's, which it could poison.
    std::uint8_t first_ttl = 0; ///< 0: no such packet
    /// TTL of another one after that, for a NAT of a provider that is further away.
    std::uint8_t retry_ttl = 0; ///< 0: no such packet

    [[nodiscard]] bool sprays() const { return targets > 1; }

    bool operator==(const Part&) const = default;
};

/// Who sends its first packet before the other; otherwise they cross in flight.
enum class First : std::uint8_t { together, a, b };

/// One step of a ladder.
struct Step {
    Technique technique = Technique::none;
    Part a, b;
    First first = First::together;
    bool fresh_sockets = false; ///< not those of the step before: a poisoned mapping stays so
    /// Both sides spray. Against one that counts, packet k of each socket goes to the port that the
    /// other is expected to have for its own packet k; against a block, to its k-th port.
    bool diagonal = false;
    /// One side has several external addresses, and the other sends what it sends to each of those
    /// that were seen, at most `most_pool_addresses`.
    bool every_address = false;

    bool operator==(const Step&) const = default;
};

/// What to try for a direct path between the nodes behind `a` and `b`, in order; after the last one
/// has failed, or if there is none, the relay stays. At most four steps. Swapping `a` and `b` swaps
/// the parts; of two birthdays that are as likely, `a` sprays first.
std::vector<Step> choose(const Behaviour& a, const Behaviour& b);

/// What the two sides are called in a sentence.
struct SideNames {
    std::string_view a = "the client";
    std::string_view b = "the agent";
};

/// Why choose() has nothing to try, as one sentence for the user without a full stop, such as "UDP
/// is blocked at the agent". Empty if it has something.
std::string why_not(const Behaviour& a, const Behaviour& b, SideNames names = {});

} // namespace narrowlink::nat

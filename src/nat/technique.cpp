// Theory of operation
//
// Goal: for each pair of behaviours the cheapest ways that can lead to a direct path, and none that
// cannot.
//
// What counts about a side is how its mapped address towards the peer can be known (Ports), and
// whether it lets the peer in from a port it has not sent to (lets_in_any_port):
//
//                      known       counted             block                random
//   known              observed    prediction          block_spray          birthday
//   counted                        prediction, diag.   block_spray, diag.   –
//   block                                              block_spray, diag.   –
//   random                                                                  –
//
// A side with a known address that lets in other ports of the peer's address needs none of this:
// observed, whatever the other side is, because it answers to where the packet came from.
//
// Steps of `observed`: twice, the second time from fresh sockets, in the other order and with a TTL
// that opens the own NAT first; see observed_steps().
//
// What a gateway with one address takes for endpoint-independent may be address-dependent, which is
// `random` here. If observed fails between two such sides, birthday follows for either.
//
// Arithmetic
//   prediction   fails if more than `window` flows of others come between sample and punch.
//   block_spray  against a known address: after all M ports certain, M/17 packets on average.
//                diagonal, both blocks: 1 - exp(-k²) for k sockets on either side.
//                diagonal, counted and block: 1 - exp(-k); therefore twice.
//   birthday     1 - (1 - 256/64512)^n: 98.3 % for n = 1,024, 99.8 % for 1,600.
//   Two sides at random would need 65,000 packets each for 63 %.

#include "narrowlink/nat/technique.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace narrowlink::nat {
namespace {

constexpr std::uint8_t near_ttl = 4; ///< the own NAT and that of the provider, mostly
constexpr std::uint8_t far_ttl = 7;
constexpr std::uint8_t usual_ttl = 64;
constexpr unsigned prediction_window = 8;
constexpr unsigned block_sockets = 16;
constexpr unsigned block_against_block_sockets = 3;
constexpr unsigned block_against_counted_sockets = 4;
constexpr unsigned birthday_sockets = 256;

/// How well the mapped address towards a peer can be known beforehand.
enum class Ports : std::uint8_t {
    known,
    counted,
    block,
    random,
    scattered,      ///< at several addresses, with the port known
    scattered_hard, ///< at several addresses, with a port of any kind
};

bool is_usable(const Behaviour& side)
{
    return side.reach == Reach::open || side.reach == Reach::unknown;
}

bool is_block(const Behaviour& side)
{
    return side.allocation == Allocation::block && side.block_first <= side.block_last;
}

unsigned block_size(const Behaviour& side)
{
    return side.block_last - side.block_first + 1U;
}

Ports ports_of(const Behaviour& side)
{
    switch (side.mapping) {
    case Mapping::unknown:
    case Mapping::none:
    case Mapping::endpoint_independent: return Ports::known;
    case Mapping::address_dependent:
        return side.address_pool ? Ports::scattered_hard : Ports::random;
    case Mapping::address_and_port_dependent: break;
    }
    if (side.address_pool)
        return side.allocation == Allocation::preserving ? Ports::scattered : Ports::scattered_hard;
    if (side.allocation == Allocation::sequential && side.delta != 0)
        return Ports::counted;
    return is_block(side) ? Ports::block : Ports::random;
}

/// From a port of the peer's address that it has not sent to.
bool lets_in_any_port(const Behaviour& side)
{
    if (ports_of(side) != Ports::known)
        return false;
    switch (side.filtering) {
    case Filtering::none:
    case Filtering::endpoint_independent:
    case Filtering::address_dependent: return true;
    case Filtering::unknown:
    case Filtering::address_and_port_dependent: return false;
    }
    return false;
}

/// Nothing is known about it until the filter test has been done.
bool poison_is_unknown(const Behaviour& side)
{
    return !side.poisonable && side.mapping != Mapping::none &&
           side.filtering == Filtering::unknown;
}

bool may_be_poisoned(const Behaviour& side)
{
    return side.poisonable || poison_is_unknown(side);
}

bool is_scattered(const Behaviour& side)
{
    const Ports ports = ports_of(side);
    return ports == Ports::scattered || ports == Ports::scattered_hard;
}

bool may_be_address_dependent(const Behaviour& side)
{
    return side.mapping_is_a_guess || side.mapping == Mapping::unknown;
}

Step swapped(Step step)
{
    std::swap(step.a, step.b);
    if (step.first != First::together)
        step.first = step.first == First::a ? First::b : First::a;
    return step;
}

Part observed_part(std::uint8_t first_ttl, bool every_address)
{
    const auto rounds = static_cast<unsigned>(observed_schedule.size());
    return {.packets =
                rounds * (every_address ? most_pool_addresses : 1) + (first_ttl != 0 ? 1 : 0),
            .first_ttl = first_ttl};
}

/// The side that an unsolicited packet would spoil is the one to send first. Where that is no way
/// out, because it is both or unknown, each opens its own NAT with a packet that dies on the way.
void add_observed(std::vector<Step>& ladder, const Behaviour& a, const Behaviour& b)
{
    Step step{.technique = Technique::observed,
              .every_address = is_scattered(a) || is_scattered(b)};
    Step again = step;
    std::uint8_t ttl = 0, ttl_again = near_ttl;
    if (poison_is_unknown(a) || poison_is_unknown(b) || (a.poisonable && b.poisonable)) {
        ttl = near_ttl;
        ttl_again = far_ttl;
    } else if (a.poisonable || b.poisonable) {
        step.first = a.poisonable ? First::a : First::b;
        again.first = a.poisonable ? First::b : First::a;
    }
    step.a = step.b = observed_part(ttl, step.every_address);
    again.a = again.b = observed_part(ttl_again, step.every_address);
    ladder.push_back(step);
    ladder.push_back(again);
}

/// The part of the side whose ports are guessed: it opens mappings towards `peer`, which sprays.
Part opening(unsigned sockets, const Behaviour& peer)
{
    return {.sockets = sockets,
            .packets = 2 * sockets,
            .first_ttl = near_ttl,
            .retry_ttl = may_be_poisoned(peer) ? far_ttl : usual_ttl};
}

Part spraying(unsigned sockets, unsigned targets, unsigned rounds = 1)
{
    return {.sockets = sockets,
            .targets = targets,
            .packets = std::min(sockets * targets * rounds, most_packets)};
}

/// `a` guesses ports of `b`.
Step birthday(const Behaviour& a)
{
    return {.technique = Technique::birthday,
            .a = spraying(1, most_packets),
            .b = opening(birthday_sockets, a),
            .first = First::b};
}

/// `a` has a known mapped address and lets in only what it has asked for; `b` is the other kind.
void add_against_known(std::vector<Step>& ladder, const Behaviour& a, const Behaviour& b)
{
    switch (ports_of(b)) {
    case Ports::known:
    case Ports::scattered_hard: return;
    case Ports::counted:
        ladder.push_back({.technique = Technique::prediction,
                          .a = spraying(1, prediction_window, 2),
                          .b = opening(1, a),
                          .first = First::b});
        return;
    case Ports::scattered:
        ladder.push_back({.technique = Technique::prediction,
                          .a = {.packets = 2 * most_pool_addresses},
                          .b = opening(1, a),
                          .first = First::b,
                          .every_address = true});
        return;
    case Ports::block:
        ladder.push_back({.technique = Technique::block_spray,
                          .a = spraying(1, block_size(b)),
                          .b = opening(block_sockets, a),
                          .first = First::b});
        return;
    case Ports::random: ladder.push_back(birthday(a)); return;
    }
}

/// Neither side has a known mapped address.
void add_diagonal(std::vector<Step>& ladder, const Behaviour& a, const Behaviour& b)
{
    const Ports ports_a = ports_of(a), ports_b = ports_of(b);
    if (ports_a == Ports::counted && ports_b == Ports::counted) {
        ladder.push_back({.technique = Technique::prediction,
                          .a = spraying(1, prediction_window, 2),
                          .b = spraying(1, prediction_window, 2),
                          .diagonal = true});
    } else if (ports_a == Ports::block && ports_b == Ports::block) {
        ladder.push_back({.technique = Technique::block_spray,
                          .a = spraying(block_against_block_sockets, block_size(b)),
                          .b = spraying(block_against_block_sockets, block_size(a)),
                          .diagonal = true});
    } else if (ports_a == Ports::counted && ports_b == Ports::block) {
        const Step step{.technique = Technique::block_spray,
                        .a = spraying(1, block_size(b)),
                        .b = spraying(block_against_counted_sockets, block_size(b)),
                        .diagonal = true};
        ladder.insert(ladder.end(), 2, step);
    } else if (ports_a == Ports::block && ports_b == Ports::counted) {
        add_diagonal(ladder, b, a);
        std::ranges::transform(ladder, ladder.begin(), swapped);
    }
}

/// After observed has failed between two known mapped addresses: then one was not known. A side
/// that preserves ports is the less likely one.
void add_assumed_address_dependent(std::vector<Step>& ladder, const Behaviour& a,
                                   const Behaviour& b)
{
    std::vector<Step> steps;
    if (may_be_address_dependent(b))
        steps.push_back(birthday(a));
    if (may_be_address_dependent(a))
        steps.push_back(swapped(birthday(b)));
    if (b.allocation == Allocation::preserving && a.allocation != Allocation::preserving)
        std::ranges::reverse(steps);
    ladder.insert(ladder.end(), steps.begin(), steps.end());
}

/// What a NAT with unknown ports does, after "the NAT of the client" or, plural, "both NATs".
std::string_view habit_of(const Behaviour& side, bool plural)
{
    if (side.address_pool)
        return plural ? "change their external address" : "changes its external address";
    if (side.mapping == Mapping::address_dependent)
        return plural ? "choose another port for each address"
                      : "chooses another port for each address";
    if (ports_of(side) == Ports::random)
        return plural ? "choose ports at random" : "chooses ports at random";
    return plural ? "choose another port for each destination"
                  : "chooses another port for each destination";
}

/// "at the client", "at the agent" or both, for the sides that `applies` to.
template <class Applies>
std::string places(const Behaviour& a, const Behaviour& b, SideNames names, Applies applies)
{
    if (applies(a) && applies(b))
        return fmt::format("at {} and at {}", names.a, names.b);
    if (applies(a))
        return fmt::format("at {}", names.a);
    return applies(b) ? fmt::format("at {}", names.b) : "";
}

} // namespace

std::string_view to_string(Technique technique)
{
    switch (technique) {
    case Technique::observed: return "observed address";
    case Technique::prediction: return "port prediction";
    case Technique::block_spray: return "block spray";
    case Technique::birthday: return "birthday";
    case Technique::none: return "none";
    }
    return "none";
}

std::vector<Step> choose(const Behaviour& a, const Behaviour& b)
{
    std::vector<Step> ladder;
    if (!is_usable(a) || !is_usable(b))
        return ladder;

    const bool a_known = ports_of(a) == Ports::known, b_known = ports_of(b) == Ports::known;
    if (lets_in_any_port(a) || lets_in_any_port(b)) {
        add_observed(ladder, a, b);
    } else if (a_known && b_known) {
        add_observed(ladder, a, b);
        add_assumed_address_dependent(ladder, a, b);
    } else if (a_known) {
        add_against_known(ladder, a, b);
    } else if (b_known) {
        add_against_known(ladder, b, a);
        std::ranges::transform(ladder, ladder.begin(), swapped);
    } else {
        add_diagonal(ladder, a, b);
    }
    for (std::size_t i = 1; i < ladder.size(); ++i)
        ladder[i].fresh_sockets = true;
    return ladder;
}

std::string why_not(const Behaviour& a, const Behaviour& b, SideNames names)
{
    if (!choose(a, b).empty())
        return {};
    const std::string blocked =
        places(a, b, names, [](const Behaviour& side) { return side.reach == Reach::blocked; });
    if (!blocked.empty())
        return "UDP is blocked " + blocked;
    const std::string limited = places(
        a, b, names, [](const Behaviour& side) { return side.reach == Reach::main_port_only; });
    if (!limited.empty())
        return fmt::format("UDP is blocked {}, except to the gateway's main port", limited);

    // Between a known address and another one only a pool is in the way.
    if (ports_of(a) == Ports::known)
        return fmt::format("the NAT of {} {}", names.b, habit_of(b, false));
    if (ports_of(b) == Ports::known)
        return fmt::format("the NAT of {} {}", names.a, habit_of(a, false));
    if (habit_of(a, true) == habit_of(b, true))
        return fmt::format("both NATs {}", habit_of(a, true));
    return fmt::format("the NAT of {} {}, and that of {} {}", names.a, habit_of(a, false), names.b,
                       habit_of(b, false));
}

} // namespace narrowlink::nat

#include "narrowlink/nat/behaviour.hpp"

#include <fmt/format.h>
#include <initializer_list>

namespace narrowlink::nat {
namespace {

std::string describe_mapping(const Behaviour& behaviour)
{
    if (behaviour.mapping == Mapping::none)
        return "no NAT";
    return fmt::format("{} mapping{}", to_string(behaviour.mapping),
                       behaviour.mapping_is_a_guess ? " (seen from one address)" : "");
}

std::string describe_allocation(const Behaviour& behaviour)
{
    switch (behaviour.allocation) {
    case Allocation::unknown:
        return behaviour.mapping == Mapping::unknown ? "ports unknown" : "ports not preserved";
    case Allocation::preserving: return "ports preserved";
    case Allocation::sequential: return fmt::format("ports sequential ({:+})", behaviour.delta);
    case Allocation::block:
        return fmt::format("ports random in {}-{}", behaviour.block_first, behaviour.block_last);
    case Allocation::random: return "ports random";
    }
    return "ports unknown";
}

/// The one of `values` that has this name.
template <class Enum>
std::optional<Enum> parse(std::string_view text, std::initializer_list<Enum> values)
{
    for (const Enum value : values)
        if (to_string(value) == text)
            return value;
    return std::nullopt;
}

std::string describe_lifetime(const MappingLifetime& lifetime)
{
    using namespace std::chrono_literals;
    const auto [alive, gone] = lifetime;
    if (alive == 0s && gone == 0s)
        return "";
    if (alive == 0s)
        return fmt::format(", forgotten when idle for {} s", gone.count());
    if (gone == 0s)
        return fmt::format(", kept when idle for {} s", alive.count());
    return fmt::format(", kept when idle for {} s but not for {} s", alive.count(), gone.count());
}

} // namespace

std::string_view to_string(Mapping mapping)
{
    switch (mapping) {
    case Mapping::unknown: return "unknown";
    case Mapping::none: return "none";
    case Mapping::endpoint_independent: return "endpoint-independent";
    case Mapping::address_dependent: return "address-dependent";
    case Mapping::address_and_port_dependent: return "address-and-port-dependent";
    }
    return "unknown";
}

std::string_view to_string(Filtering filtering)
{
    switch (filtering) {
    case Filtering::unknown: return "unknown";
    case Filtering::none: return "none";
    case Filtering::endpoint_independent: return "endpoint-independent";
    case Filtering::address_dependent: return "address-dependent";
    case Filtering::address_and_port_dependent: return "address-and-port-dependent";
    }
    return "unknown";
}

std::string_view to_string(Allocation allocation)
{
    switch (allocation) {
    case Allocation::unknown: return "unknown";
    case Allocation::preserving: return "preserving";
    case Allocation::sequential: return "sequential";
    case Allocation::block: return "block";
    case Allocation::random: return "random";
    }
    return "unknown";
}

std::string_view to_string(Reach reach)
{
    switch (reach) {
    case Reach::unknown: return "unknown";
    case Reach::open: return "open";
    case Reach::blocked: return "blocked";
    case Reach::main_port_only: return "main port only";
    }
    return "unknown";
}

std::optional<Mapping> parse_mapping(std::string_view text)
{
    using enum Mapping;
    return parse(
        text, {unknown, none, endpoint_independent, address_dependent, address_and_port_dependent});
}

std::optional<Filtering> parse_filtering(std::string_view text)
{
    using enum Filtering;
    return parse(
        text, {unknown, none, endpoint_independent, address_dependent, address_and_port_dependent});
}

std::optional<Allocation> parse_allocation(std::string_view text)
{
    using enum Allocation;
    return parse(text, {unknown, preserving, sequential, block, random});
}

std::optional<Reach> parse_reach(std::string_view text)
{
    using enum Reach;
    return parse(text, {unknown, open, blocked, main_port_only});
}

std::string describe(const Behaviour& behaviour)
{
    switch (behaviour.reach) {
    case Reach::unknown: return "unknown";
    case Reach::blocked: return "UDP blocked";
    case Reach::main_port_only:
        return "UDP only to the gateway's main port" + describe_lifetime(behaviour.lifetime);
    case Reach::open: break;
    }
    std::string text = describe_mapping(behaviour);
    if (behaviour.filtering != Filtering::none)
        text += fmt::format(", {} filtering", to_string(behaviour.filtering));
    if (behaviour.mapping != Mapping::none)
        text += ", " + describe_allocation(behaviour);
    if (behaviour.address_pool)
        text += ", several external addresses";
    if (behaviour.poisonable)
        text += ", spoiled by unsolicited packets";
    return text + describe_lifetime(behaviour.lifetime);
}

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/nat/behaviour.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::nat::model {

inline SocketAddress address(std::string_view ip, std::uint16_t port = 0)
{
    return {.ip = IpAddress::parse(ip).value(), .port = port};
}

/// A router as tests/lab/nat_lab/recipes.py has them.
struct Recipe {
    std::string name;
    Mapping mapping = Mapping::endpoint_independent;
    Filtering filtering = Filtering::address_and_port_dependent;
    Allocation allocation = Allocation::preserving;
    int delta = 1;
    std::uint16_t block_first = 20'480, block_last = 20'991;
    bool udp = true;
    bool main_port_only = false;
    bool open_input = false;          ///< accepts on the outside what nobody asked for
    bool drops_when_poisoned = false; ///< and then has no other port to give
    unsigned addresses = 1;
    unsigned foreign_flows_percent = 0; ///< after so many mappings somebody else makes one
};

/// One NAT with one host behind it: mapping, filtering and allocation of RFC 4787 §4 and §5.
class Nat {
public:
    Nat(Recipe recipe, std::uint32_t seed) : recipe_{std::move(recipe)}, random_{seed}
    {
        next_port_ = 40'000 + below(4'000);
        host_ =
            recipe_.mapping == Mapping::none ? address("198.18.1.9").ip : address("192.168.1.2").ip;
    }

    [[nodiscard]] IpAddress host() const { return host_; }

    /// Of the NAT, or of its first address.
    [[nodiscard]] static IpAddress external() { return address("198.18.1.2").ip; }

    /// The mapped address a datagram leaves with, or nothing.
    std::optional<SocketAddress> send(std::uint16_t local_port, SocketAddress to)
    {
        if (!recipe_.udp || (recipe_.main_port_only && to.port != 443 && to.port != 53))
            return std::nullopt;
        SocketAddress mapped = mapping_of(local_port, to);
        if (poisoned_.contains({mapped, to})) {
            if (recipe_.drops_when_poisoned)
                return std::nullopt;
            mapped = spoilt_
                         .emplace(std::pair{mapped, to},
                                  SocketAddress{.ip = mapped.ip, .port = random_port()})
                         .first->second;
        }
        contacted_.insert({.local_port = local_port, .mapped = mapped, .remote = to});
        return mapped;
    }

    /// Whether a datagram gets through to this socket of the host. Another one may have a mapping
    /// with the same external port, towards somebody else.
    bool receive(SocketAddress from, SocketAddress to, std::uint16_t local_port)
    {
        if (!recipe_.udp || (recipe_.main_port_only && from.port != 443 && from.port != 53))
            return false;
        const bool let_in = lets_in({.local_port = local_port, .mapped = to, .remote = from});
        if (!let_in && recipe_.open_input)
            poisoned_.insert({to, from});
        return let_in;
    }

    std::uint32_t below(std::uint32_t limit)
    {
        return static_cast<std::uint32_t>(random_()) % limit;
    }

private:
    struct Key {
        std::uint16_t local_port;
        SocketAddress to;

        auto operator<=>(const Key&) const = default;
    };

    struct Contact {
        std::uint16_t local_port;
        SocketAddress mapped;
        SocketAddress remote;

        auto operator<=>(const Contact&) const = default;
    };

    SocketAddress mapping_of(std::uint16_t local_port, SocketAddress to)
    {
        if (recipe_.mapping == Mapping::none)
            return {.ip = host_, .port = local_port};
        Key key{.local_port = local_port};
        if (recipe_.mapping != Mapping::endpoint_independent)
            key.to.ip = to.ip;
        if (recipe_.mapping == Mapping::address_and_port_dependent)
            key.to.port = to.port;
        const auto known = mappings_.find(key);
        if (known != mappings_.end())
            return known->second;
        SocketAddress mapped = address("198.18.1.2", allocate(local_port));
        auto bytes = mapped.ip.bytes();
        bytes[3] = static_cast<std::byte>(2 + below(recipe_.addresses));
        mapped.ip = IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
        return mappings_.emplace(key, mapped).first->second;
    }

    std::uint16_t allocate(std::uint16_t local_port)
    {
        switch (recipe_.allocation) {
        case Allocation::preserving: return local_port;
        case Allocation::sequential: {
            if (below(100) < recipe_.foreign_flows_percent)
                count();
            return static_cast<std::uint16_t>(count());
        }
        case Allocation::block:
            return static_cast<std::uint16_t>(recipe_.block_first +
                                              below(recipe_.block_last - recipe_.block_first + 1U));
        case Allocation::unknown:
        case Allocation::random: break;
        }
        return random_port();
    }

    std::uint32_t count()
    {
        const int next = static_cast<int>(next_port_) - 40'000 + recipe_.delta;
        next_port_ = 40'000 + static_cast<std::uint32_t>((next + 4'000) % 4'000);
        return next_port_;
    }

    std::uint16_t random_port() { return static_cast<std::uint16_t>(1'024 + below(64'512)); }

    [[nodiscard]] bool lets_in(const Contact& wanted) const
    {
        return std::ranges::any_of(contacted_, [&](const Contact& contact) {
            if (contact.local_port != wanted.local_port || contact.mapped != wanted.mapped)
                return false;
            switch (recipe_.filtering) {
            case Filtering::unknown: return false;
            case Filtering::none:
            case Filtering::endpoint_independent: return true;
            case Filtering::address_dependent: return contact.remote.ip == wanted.remote.ip;
            case Filtering::address_and_port_dependent: return contact.remote == wanted.remote;
            }
            return false;
        });
    }

    Recipe recipe_;
    std::mt19937 random_;
    IpAddress host_;
    std::uint32_t next_port_;
    std::map<Key, SocketAddress> mappings_;
    std::set<Contact> contacted_;
    std::set<std::pair<SocketAddress, SocketAddress>> poisoned_; // mapped, remote
    std::map<std::pair<SocketAddress, SocketAddress>, SocketAddress> spoilt_;
};

inline const std::vector<Recipe>& recipes()
{
    using enum Mapping;
    constexpr auto eif = Filtering::endpoint_independent;
    constexpr auto adf = Filtering::address_dependent;
    constexpr auto apdf = Filtering::address_and_port_dependent;
    constexpr auto apdm = address_and_port_dependent;
    static const std::vector<Recipe> all{
        {.name = "public", .mapping = none, .filtering = Filtering::none},
        {.name = "public_firewall", .mapping = none, .filtering = apdf},
        {.name = "full_cone", .filtering = eif},
        {.name = "address_restricted", .filtering = adf},
        {.name = "port_restricted"},
        {.name = "port_restricted_open_input", .open_input = true},
        {.name = "endpoint_independent_random", .allocation = Allocation::random},
        {.name = "endpoint_independent_random_open_input",
         .allocation = Allocation::random,
         .open_input = true,
         .drops_when_poisoned = true},
        {.name = "address_dependent_random",
         .mapping = address_dependent,
         .allocation = Allocation::random},
        {.name = "symmetric_sequential", .mapping = apdm, .allocation = Allocation::sequential},
        {.name = "symmetric_sequential_busy",
         .mapping = apdm,
         .allocation = Allocation::sequential,
         .delta = -2,
         .foreign_flows_percent = 10},
        {.name = "symmetric_block", .mapping = apdm, .allocation = Allocation::block},
        {.name = "symmetric_random", .mapping = apdm, .allocation = Allocation::random},
        {.name = "address_pool", .mapping = apdm, .addresses = 4},
        {.name = "udp_blocked", .udp = false},
        {.name = "udp_443_only", .main_port_only = true},
    };
    return all;
}

inline const Recipe& recipe(std::string_view name)
{
    return *std::ranges::find(recipes(), name, &Recipe::name);
}

} // namespace narrowlink::nat::model

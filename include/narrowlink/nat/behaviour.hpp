#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::nat {

/// Which datagrams of one local address and port share a mapped address; RFC 4787 §4.1.
enum class Mapping : std::uint8_t {
    unknown,
    none, ///< the node's own address and port arrive at the gateway unchanged
    endpoint_independent,
    address_dependent,
    address_and_port_dependent,
};

/// Who may send to a mapped address, besides those it was made for; RFC 4787 §5.
enum class Filtering : std::uint8_t {
    unknown,
    none, ///< no NAT and nothing kept out
    endpoint_independent,
    address_dependent,
    address_and_port_dependent,
};

/// How the port of a new mapping is found; RFC 4787 §4.2.
enum class Allocation : std::uint8_t {
    unknown,    ///< not the local port, or never seen
    preserving, ///< the local port
    sequential, ///< the port of the mapping before, plus Behaviour::delta
    block,      ///< at random between Behaviour::block_first and block_last
    random,     ///< at random among all
};

/// How far UDP gets at all.
enum class Reach : std::uint8_t {
    unknown, ///< not surveyed
    open,
    blocked,        ///< nothing arrives at the gateway
    main_port_only, ///< only to the gateway's main port, which is that of HTTP/3
};

/// How long a mapping lives that nobody uses; RFC 4787 §4.3. Both 0: not known.
struct MappingLifetime {
    std::chrono::seconds alive_after{}; ///< after so long it was still there
    std::chrono::seconds gone_after{};  ///< after so long it was not; 0: not seen

    bool operator==(const MappingLifetime&) const = default;
};

/// What stands between a node and the gateway, for one address family. Two NATs in a row are one
/// with the worse mapping and the stricter filtering of both.
struct Behaviour {
    Reach reach = Reach::unknown;
    Mapping mapping = Mapping::unknown;
    Filtering filtering = Filtering::unknown;
    Allocation allocation = Allocation::unknown;
    int delta = 0;                 ///< of sequential allocation, never 0 then
    std::uint16_t block_first = 0; ///< of block allocation, estimated
    std::uint16_t block_last = 0;  ///< inclusive
    /// Mappings differ in their IP address ("arbitrary" pooling if those of one socket do,
    /// RFC 4787 §4.1).
    bool address_pool = false;
    /// An unsolicited packet makes the NAT give another mapping to what is sent back to where it
    /// came from: routers that accept on the outside what nobody has asked for.
    bool poisonable = false;
    /// Seen from one address of the gateway only: endpoint-independent may be address-dependent.
    bool mapping_is_a_guess = false;
    /// Likewise: address-dependent may be endpoint-independent, and none address-dependent.
    bool filtering_is_a_guess = false;
    unsigned hops = 0; ///< routers on the way to the gateway; 0: unknown
    MappingLifetime lifetime; ///< found out last, by LifetimeSurvey

    bool operator==(const Behaviour&) const = default;
};

/// `endpoint-independent` and so on, in the words of RFC 4787.
std::string_view to_string(Mapping);
std::string_view to_string(Filtering);
std::string_view to_string(Allocation);
std::string_view to_string(Reach);

std::optional<Mapping> parse_mapping(std::string_view text);
std::optional<Filtering> parse_filtering(std::string_view text);
std::optional<Allocation> parse_allocation(std::string_view text);
std::optional<Reach> parse_reach(std::string_view text);

/// All of it for a person, on one line: `no NAT`, `UDP blocked`, `endpoint-independent mapping,
/// address-and-port-dependent filtering, ports preserved`. Without the number of hops.
std::string describe(const Behaviour&);

} // namespace narrowlink::nat

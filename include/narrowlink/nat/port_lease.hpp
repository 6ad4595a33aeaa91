#pragma once

#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/base/random.hpp"

#include <optional>
#include <vector>

namespace narrowlink::nat {

/// Those that may be used, in the order of trying.
std::vector<PortMappingProtocol> protocols_of(PortMappingMode);

/// Keeps a port of the router mapped to one of this node: asks for it, renews it at half its
/// lifetime, and falls back from one protocol to the next.
///
///     Idle ──begin──▶ Asking ──granted──▶ Holding ──half the lifetime──▶ Asking …
///                       │ refused or silent, by all protocols
///                       ▼
///                    Waiting ──retry_interval, begin──▶ Asking …
///
/// What the router says is checked here: an address that is not unicast or a port 0 is as good as
/// no answer, and lifetimes are bounded.
///
/// Contract: after each call drain poll_request(); each request is answered once by handle_answer()
/// before the next one is there; then wait until deadline().
class PortLease {
public:
    static constexpr Duration lifetime = std::chrono::minutes{10}; ///< that is asked for
    static constexpr Duration shortest_lifetime = std::chrono::minutes{1};
    /// Between attempts where no router has ever answered.
    static constexpr Duration retry_interval = std::chrono::minutes{10};

    /// `random` must outlive it.
    PortLease(PortMappingMode mode, Random& random);

    /// The node's socket has this port, and its packets leave through this router. Asks now, also
    /// when both are as before: the router may have been restarted. What was held at another router
    /// is forgotten.
    void begin(Instant now, const IpAddress& router, std::uint16_t port);

    /// There is no router any more.
    void reset();

    /// Nothing, when the router has not answered in time or has refused. Returns whether mapping()
    /// or external_ip() has changed.
    bool handle_answer(Instant now, const std::optional<RouterAnswer>& answer);

    /// Returns whether mapping() has changed: it has expired.
    bool handle_timeout(Instant now);

    [[nodiscard]] std::optional<RouterRequest> poll_request();
    [[nodiscard]] Instant deadline() const;

    [[nodiscard]] const std::optional<PortMapping>& mapping() const { return mapping_; }

    /// The router's other side, if it has said so, also without a mapping.
    [[nodiscard]] const std::optional<IpAddress>& external_ip() const { return external_ip_; }

    /// What ends the mapping; empty if there is none.
    [[nodiscard]] std::optional<RouterRequest> release() const;

private:
    void ask(Instant now, std::size_t protocol);
    bool lose_mapping();

    Random* random_;
    std::vector<PortMappingProtocol> protocols_; ///< in the order of trying
    std::optional<IpAddress> router_;
    std::uint16_t port_ = 0;
    std::array<std::byte, 12> nonce_{};
    std::optional<RouterRequest> request_; ///< not taken yet
    std::size_t asking_ = 0;               ///< which protocol
    bool is_asking_ = false;
    bool is_outdated_ = false; ///< begin() was called since: the answer means nothing
    std::optional<PortMapping> mapping_;
    std::optional<IpAddress> external_ip_;
    std::size_t worked_ = 0; ///< the protocol that did last
    Instant ask_at_ = never;
    Instant expires_at_ = never;
};

} // namespace narrowlink::nat

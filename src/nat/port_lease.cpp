// Theory of operation
//
// Goal: a mapping whenever the router gives one, without burdening a router that does not.
//
// States and events
//   Idle      before begin(), or without a router.
//   Asking    one request is under way, of one protocol.
//     granted   → Holding.
//     otherwise → Asking with the next protocol; after the last one Waiting, or Holding what there
//     is
//                 until it expires.
//   Holding   renews at half the lifetime, from the protocol that gave it.
//   Waiting   asks again after retry_interval, from the first protocol.
//
// A renewal that fails is repeated after half of what is left of the lifetime, at least every
// shortest_lifetime / 2; when the mapping expires it is forgotten, whatever the router thinks of
// it.
//
// Limits: one request at a time; lifetimes between shortest_lifetime and longest_lifetime.

#include "narrowlink/nat/port_lease.hpp"

#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace narrowlink::nat {
namespace {

constexpr Duration longest_lifetime = std::chrono::hours{24};

} // namespace

std::vector<PortMappingProtocol> protocols_of(PortMappingMode mode)
{
    switch (mode) {
    case PortMappingMode::off: return {};
    case PortMappingMode::nat_pmp: return {PortMappingProtocol::nat_pmp};
    case PortMappingMode::pcp: return {PortMappingProtocol::pcp};
    case PortMappingMode::upnp: return {PortMappingProtocol::upnp};
    case PortMappingMode::automatic:
        return {PortMappingProtocol::nat_pmp, PortMappingProtocol::pcp, PortMappingProtocol::upnp};
    }
    return {};
}

PortLease::PortLease(PortMappingMode mode, Random& random)
    : random_{&random}, protocols_{protocols_of(mode)}
{
}

void PortLease::begin(Instant now, const IpAddress& router, std::uint16_t port)
{
    if (router_ != router || port_ != port) {
        mapping_.reset();
        external_ip_.reset();
        expires_at_ = never;
        worked_ = 0;
        nonce_ = random_->array<12>(); // another one for each router, RFC 6887 §11.2
    }
    router_ = router;
    port_ = port;
    if (protocols_.empty())
        return;
    if (is_asking_ && !request_) {
        is_outdated_ = true;
        return;
    }
    ask(now, mapping_ ? worked_ : 0);
}

void PortLease::reset()
{
    router_.reset();
    mapping_.reset();
    external_ip_.reset();
    request_.reset();
    ask_at_ = expires_at_ = never;
}

void PortLease::ask(Instant, std::size_t protocol)
{
    asking_ = protocol;
    is_asking_ = true;
    is_outdated_ = false;
    ask_at_ = never;
    request_ = RouterRequest{.protocol = protocols_[protocol],
                             .router = *router_,
                             .internal = port_,
                             .external = mapping_ ? mapping_->external.port : port_,
                             .lifetime = lifetime,
                             .nonce = nonce_};
}

bool PortLease::handle_answer(Instant now, const std::optional<RouterAnswer>& answer)
{
    if (!std::exchange(is_asking_, false) || !router_)
        return false;
    if (is_outdated_) {
        ask(now, mapping_ ? worked_ : 0);
        return false;
    }
    bool changed = false;
    if (answer && is_unicast_v4(answer->external_ip)) {
        changed = external_ip_ != answer->external_ip;
        external_ip_ = answer->external_ip;
        if (answer->external != 0) {
            const Duration granted =
                answer->lifetime == Duration{}
                    ? lifetime
                    : std::clamp(answer->lifetime, shortest_lifetime, longest_lifetime);
            const PortMapping mapping{.protocol = protocols_[asking_],
                                      .external = {answer->external_ip, answer->external},
                                      .lifetime = granted};
            changed = !mapping_ || mapping_->external != mapping.external;
            mapping_ = mapping;
            worked_ = asking_;
            ask_at_ = now + granted / 2;
            expires_at_ = now + granted;
            return changed;
        }
    }
    const bool is_renewal = mapping_.has_value() && asking_ == worked_;
    if (!is_renewal && asking_ + 1 < protocols_.size()) {
        ask(now, asking_ + 1);
        return changed;
    }
    ask_at_ = now + retry_interval;
    if (mapping_)
        ask_at_ = now + std::max((expires_at_ - now) / 2, shortest_lifetime / 2);
    return changed;
}

bool PortLease::lose_mapping()
{
    expires_at_ = never;
    external_ip_.reset();
    return std::exchange(mapping_, std::nullopt).has_value();
}

bool PortLease::handle_timeout(Instant now)
{
    const bool lost = now >= expires_at_ && lose_mapping();
    if (router_ && !is_asking_ && now >= ask_at_)
        ask(now, mapping_ ? worked_ : 0);
    return lost;
}

std::optional<RouterRequest> PortLease::poll_request()
{
    return std::exchange(request_, std::nullopt);
}

Instant PortLease::deadline() const
{
    return std::min(is_asking_ ? never : ask_at_, expires_at_);
}

std::optional<RouterRequest> PortLease::release() const
{
    if (!mapping_)
        return std::nullopt;
    return RouterRequest{.protocol = mapping_->protocol,
                         .router = *router_,
                         .internal = port_,
                         .external = mapping_->external.port,
                         .lifetime = {},
                         .nonce = nonce_};
}

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/crypto/aead.hpp"
#include "narrowlink/wire/probe.hpp"

#include <cstdint>
#include <optional>

namespace narrowlink::nat {

using ProbePacket = std::array<std::byte, wire::probe_size>;

/// What the gateway gives to the two ends of a channel, over their control sessions.
struct ProbeCredentials {
    wire::ProbeId id{};
    crypto::Aead::Key key{};

    bool operator==(const ProbeCredentials&) const = default;
};

/// Seals and opens the probes of one pair of speakers. It protects the choice of a path and
/// nothing else: whatever travels on the path is protected by QUIC.
class ProbeChannel {
public:
    ProbeChannel(const ProbeCredentials&, wire::ProbeSender us);

    /// Sender and sequence are filled in.
    ProbePacket seal(wire::Probe probe, Random& random);

    /// Empty for what is forged, replayed, or might come from ourselves.
    std::optional<wire::Probe> open(Bytes packet);

    [[nodiscard]] const wire::ProbeId& id() const { return id_; }

private:
    /// The sequence numbers of one sender that were seen (as RFC 4303 §3.4.3).
    struct Window {
        std::uint64_t highest = 0;
        std::uint64_t seen = 0; ///< bit n: highest - n

        bool take(std::uint64_t sequence);
    };

    wire::ProbeId id_;
    wire::ProbeSender us_;
    crypto::Aead aead_;
    std::uint64_t sequence_ = 0;
    std::array<Window, 4> windows_; ///< by sender
};

} // namespace narrowlink::nat

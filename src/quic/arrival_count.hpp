#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace narrowlink::quic {

/// Counts the peer's packets that have arrived, and concludes from their numbers how many have not.
/// Both are a little wrong for a moment when packets overtake each other.
///
/// A sender may leave out numbers, to find out who acknowledges what it has not got (RFC 9000 §21.4).
/// ngtcp2 does from 1.12 on: one of the first 256, and then after gaps that double on average. As many as
/// that makes, and two for its dice, are not called missing, whoever the peer is.
class ArrivalCount {
public:
    /// A packet that passed the AEAD; of its number only the lowest `bits` are known.
    void handle(std::uint64_t truncated, unsigned bits)
    {
        const std::uint64_t number = expand(truncated, bits);
        if (arrived_ == 0)
            next_ = first_ = number;
        ++arrived_;
        next_ = std::max(next_, number + 1);
        first_ = std::min(first_, number);
    }

    [[nodiscard]] std::uint64_t arrived() const { return arrived_; }

    [[nodiscard]] std::uint64_t missing() const
    {
        const std::uint64_t sent = next_ - first_;
        const std::uint64_t others = arrived_ + skipped(sent);
        return sent > others ? sent - others : 0;
    }

private:
    [[nodiscard]] static std::uint64_t skipped(std::uint64_t sent)
    {
        return static_cast<std::uint64_t>(std::bit_width(sent / 32));
    }

    /// RFC 9000, appendix A.3.
    [[nodiscard]] std::uint64_t expand(std::uint64_t truncated, unsigned bits) const
    {
        const std::uint64_t window = std::uint64_t{1} << bits;
        const std::uint64_t candidate = (next_ & ~(window - 1)) | truncated;
        if (candidate + window / 2 <= next_)
            return candidate + window;
        if (candidate > next_ + window / 2 && candidate >= window)
            return candidate - window;
        return candidate;
    }

    std::uint64_t arrived_ = 0;
    std::uint64_t first_ = 0, next_ = 0; ///< numbers
};

} // namespace narrowlink::quic

#pragma once

#include "narrowlink/base/time.hpp"

#include <algorithm>

namespace narrowlink::nat {

/// How many packets may still be sent: `per_second` of them, and up to `burst` that were saved up
/// (a token bucket).
class PacketBudget {
public:
    PacketBudget(unsigned per_second, unsigned burst)
        : interval_{std::chrono::nanoseconds{std::chrono::seconds{1}} / per_second}
        , longest_{interval_ * static_cast<int>(burst)}
    {
    }

    /// For one packet. False: it may not be sent.
    bool take(Instant now)
    {
        spent_until_ = std::max(spent_until_, now - longest_) + interval_;
        if (spent_until_ <= now)
            return true;
        spent_until_ -= interval_;
        return false;
    }

private:
    Duration interval_;
    Duration longest_;
    Instant spent_until_{}; ///< when there would be nothing saved up
};

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/path/pair.hpp"

namespace narrowlink::direct {

/// A pair with whatever runs it, as those need it who add carriers to it.
class CarriedPair {
public:
    virtual path::Pair& pair() = 0;

    /// A number for a new carrier.
    virtual path::CarrierId next_carrier() = 0;

    /// Tells the pair's events that have come up; for who drives a carrier.
    virtual void drain_events() = 0;

    /// The same, and wakes the carriers.
    virtual void settle() = 0;

protected:
    ~CarriedPair() = default;
};

} // namespace narrowlink::direct

#pragma once

#include "narrowlink/base/random.hpp"

namespace narrowlink::crypto {

/// OpenSSL's generator, seeded by the kernel. Safe to use from every thread.
class SystemRandom final : public Random {
public:
    /// Throws boost::system::system_error when the system has no entropy: nothing safe can go on.
    void fill(MutableBytes block) override;
};

} // namespace narrowlink::crypto

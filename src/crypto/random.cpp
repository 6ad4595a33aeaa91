#include "narrowlink/crypto/random.hpp"

#include "narrowlink/crypto/error.hpp"

#include <boost/system/system_error.hpp>
#include <openssl/rand.h>

#include <algorithm>

namespace narrowlink::crypto {

void SystemRandom::fill(MutableBytes block)
{
    constexpr std::size_t most_at_once = 1U << 20U; // RAND_bytes counts in int
    while (!block.empty()) {
        const MutableBytes part = block.first(std::min(block.size(), most_at_once));
        auto* const begin = reinterpret_cast<unsigned char*>(part.data());
        if (RAND_bytes(begin, static_cast<int>(part.size())) != 1)
            throw boost::system::system_error{make_error_code(Error::library_failure)};
        block = block.subspan(part.size());
    }
}

} // namespace narrowlink::crypto

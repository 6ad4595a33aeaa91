// Feeds any text to verify(): as a whole token, and as claims under a right signature, which a
// fuzzer would never find. What is accepted must survive signing.
#include "narrowlink/access/token.hpp"

#include <cstdlib>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const access::Secret secret(32, std::byte{0x5a});
    const UnixTime now{std::chrono::seconds{1'800'000'000}};
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));

    if (access::verify(text, secret, now))
        std::abort(); // nobody knows this secret

    const auto token = access::verify(access::sign_jws(text, secret), secret, now);
    if (!token)
        return 0;
    if (access::claims_of(*token).expires <= now)
        std::abort();
    const auto again = access::verify(access::sign(*token, secret), secret, now);
    if (again ? *again != *token : access::sign(*token, secret).size() <= access::max_jws_size)
        std::abort();
    return 0;
}

// Feeds any bytes to the readers of certificates: DER as a peer sends it, PEM as an owner stores
// it.
#include "narrowlink/crypto/identity.hpp"

#include <cstdlib>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const Bytes bytes = std::as_bytes(std::span{data, size});
    if (const auto pin = crypto::pin_of_certificate(bytes))
        if (crypto::Pin::parse(to_string(*pin)) != *pin)
            std::abort();

    const std::string text{as_text(bytes)};
    (void)crypto::Identity::parse(text, text);
    return 0;
}

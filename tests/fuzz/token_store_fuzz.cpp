// Feeds any text to IssuedTokens::parse(). What is accepted must survive format().
#include "narrowlink/access/token_store.hpp"

#include <cstdlib>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto tokens = access::IssuedTokens::parse(as_text(std::as_bytes(std::span{data, size})));
    if (!tokens)
        return 0;
    const auto again = access::IssuedTokens::parse(tokens->format());
    if (!again || *again != *tokens)
        std::abort();
    return 0;
}

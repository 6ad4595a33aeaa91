// Feeds any text to parse_join_string(): as it is, and as content under a right checksum. What is
// accepted must survive format().
#include "narrowlink/access/join_string.hpp"
#include "narrowlink/crypto/digest.hpp"

#include <cstdlib>

using namespace narrowlink;

namespace {

void check(std::string_view text)
{
    const auto join = access::parse_join_string(text);
    if (!join)
        return;
    if (join->tokens.empty() || join->gateway.find_first_of("\r\n \x1b") != std::string::npos)
        std::abort();
    const std::string formatted = access::format(*join);
    if (formatted.size() > access::max_join_string_size)
        return; // white space in the text was less than escapes are in ours
    const auto again = access::parse_join_string(formatted);
    if (!again || *again != *join)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const Bytes bytes = std::as_bytes(std::span{data, size});
    check(as_text(bytes));

    std::string content{as_text(bytes)};
    const auto digest = crypto::sha256(bytes);
    content += as_text(Bytes{digest}.first(6));
    check("nl1." + to_base64url(as_bytes(content)));
    return 0;
}

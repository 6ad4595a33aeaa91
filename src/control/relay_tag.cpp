#include "narrowlink/control/relay_tag.hpp"

#include "narrowlink/crypto/digest.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace narrowlink::control {

wire::RelayTag relay_tag(Role end, const crypto::Pin& client_key, const wire::PairId& pair)
{
    constexpr std::string_view label = "narrowlink relay tag";
    std::vector<std::byte> text;
    const auto append = [&text](Bytes bytes) { text.insert(text.end(), bytes.begin(), bytes.end()); };
    append(as_bytes(label));
    append(as_bytes(to_string(end)));
    append(client_key.bytes);
    append(pair.bytes);
    const crypto::Digest digest = crypto::sha256(text);
    wire::RelayTag tag;
    std::copy_n(digest.begin(), tag.size(), tag.begin());
    return tag;
}

} // namespace narrowlink::control

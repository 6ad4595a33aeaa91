// Text as a user types it or a peer sends it. What is accepted has one spelling: written out and
// read again it is the same, so that no rule can be dodged by how a target is written.
#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace narrowlink;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

template <class T>
std::optional<T> canonical(std::string_view text)
{
    const auto value = T::parse(text);
    if (!value)
        return value;
    const std::string written = to_string(*value);
    require(T::parse(written) == value);
    require(to_string(*T::parse(written)) == written);
    return value;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    if (const auto target = canonical<HostPort>(text)) {
        require(target->port != 0);
        require(!target->host.empty() && target->host.size() <= 253);
        require(std::ranges::all_of(target->host, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                   c == '_' || c == ':';
        }));
        if (target->host.find(':') != std::string::npos)
            require(IpAddress::parse(target->host).has_value());
    }
    const auto ip = canonical<IpAddress>(text);
    const auto prefix = canonical<IpPrefix>(text);
    if (prefix) {
        require(prefix->contains(prefix->ip));
        require(prefix->length <= prefix->ip.size() * 8);
    }
    if (ip) {
        require(prefix && prefix->ip == *ip && prefix->length == ip->size() * 8);
        require(HostPort::parse(to_string(SocketAddress{*ip, 1})) == (HostPort{to_string(*ip), 1}));
    }
    return 0;
}

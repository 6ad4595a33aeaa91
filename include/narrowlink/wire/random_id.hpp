#pragma once

#include "narrowlink/base/bytes.hpp"

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::wire {

/// Reads exactly `block.size()` bytes of lower-case hexadecimal. False for anything else, upper
/// case included: an id has one spelling, so that it can be compared and logged as text.
bool parse_hex(std::string_view text, MutableBytes block);

/// Sixteen random bytes that name something; `Tag` keeps the names of different things apart.
/// Text form: 32 lower-case hexadecimal digits.
template <class Tag>
struct RandomId {
    std::array<std::byte, 16> bytes{};

    static std::optional<RandomId> parse(std::string_view text)
    {
        RandomId id;
        if (!parse_hex(text, id.bytes))
            return std::nullopt;
        return id;
    }

    auto operator<=>(const RandomId&) const = default;
};

template <class Tag>
std::string to_string(const RandomId<Tag>& id)
{
    return to_hex(id.bytes);
}

} // namespace narrowlink::wire

/// Whoever presents an id may choose its bytes. Containers that hold ids of strangers are ordered
/// ones; the hash is for those that hold our own.
template <class Tag>
struct std::hash<narrowlink::wire::RandomId<Tag>> {
    std::size_t operator()(const narrowlink::wire::RandomId<Tag>& id) const noexcept
    {
        return std::hash<std::string_view>{}(narrowlink::as_text(id.bytes));
    }
};

#pragma once

#include "narrowlink/base/bytes.hpp"

#include <cstdint>
#include <optional>

namespace narrowlink::wire {

inline constexpr std::uint64_t max_varint = (std::uint64_t{1} << 62) - 1;
inline constexpr std::size_t max_varint_size = 8;

/// A decoded variable-length integer (RFC 9000 §16) and how many bytes it took.
struct Varint {
    std::uint64_t value;
    std::size_t size;

    bool operator==(const Varint&) const = default;
};

/// Empty when `bytes` ends within the integer. Longer encodings than needed are allowed.
std::optional<Varint> decode_varint(Bytes bytes);

/// Reads one integer; a short read makes `in` not ok().
std::uint64_t read_varint(Reader& in);

/// How many bytes the shortest encoding takes: 1, 2, 4 or 8. Requires: value <= max_varint.
std::size_t varint_size(std::uint64_t value);

/// Writes the shortest encoding. Requires: value <= max_varint.
void write_varint(Writer& out, std::uint64_t value);

} // namespace narrowlink::wire

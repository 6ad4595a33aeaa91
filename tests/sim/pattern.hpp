#pragma once

#include "narrowlink/base/bytes.hpp"

#include <cstdint>
#include <optional>

namespace narrowlink::sim {

/// Bytes that are a function of key and offset, so that a byte of another stream or of another
/// place is found out.
class Pattern {
public:
    explicit Pattern(std::uint64_t key) : key_{key} {}

    void fill(std::uint64_t offset, MutableBytes block) const;
    /// Index of the first byte that is not the one that belongs there.
    [[nodiscard]] std::optional<std::size_t> find_wrong(std::uint64_t offset, Bytes block) const;

private:
    [[nodiscard]] std::uint64_t word(std::uint64_t index) const;
    [[nodiscard]] std::byte at(std::uint64_t offset) const;

    std::uint64_t key_;
};

} // namespace narrowlink::sim

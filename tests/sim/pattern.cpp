#include "pattern.hpp"

#include <cstring>

namespace narrowlink::sim {
namespace {

constexpr std::size_t word_size = sizeof(std::uint64_t);

} // namespace

std::uint64_t Pattern::word(std::uint64_t index) const
{
    const std::uint64_t z = (key_ + index) * 0x9e3779b97f4a7c15;
    return (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9;
}

std::byte Pattern::at(std::uint64_t offset) const
{
    const std::uint64_t whole = word(offset / word_size);
    std::byte bytes[word_size];
    std::memcpy(bytes, &whole, word_size);
    return bytes[offset % word_size];
}

void Pattern::fill(std::uint64_t offset, MutableBytes block) const
{
    std::size_t i = 0;
    for (; i < block.size() && (offset + i) % word_size != 0; ++i)
        block[i] = at(offset + i);
    for (; i + word_size <= block.size(); i += word_size) {
        const std::uint64_t whole = word((offset + i) / word_size);
        std::memcpy(&block[i], &whole, word_size);
    }
    for (; i < block.size(); ++i)
        block[i] = at(offset + i);
}

std::optional<std::size_t> Pattern::find_wrong(std::uint64_t offset, Bytes block) const
{
    std::size_t i = 0;
    while (i < block.size()) {
        if ((offset + i) % word_size == 0 && i + word_size <= block.size()) {
            const std::uint64_t whole = word((offset + i) / word_size);
            if (std::memcmp(&block[i], &whole, word_size) == 0) {
                i += word_size;
                continue;
            }
        }
        if (block[i] != at(offset + i))
            return i;
        ++i;
    }
    return std::nullopt;
}

} // namespace narrowlink::sim

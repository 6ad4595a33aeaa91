#pragma once

#include "narrowlink/base/bytes.hpp"

#include <cassert>
#include <memory>
#include <vector>

namespace narrowlink {

/// One owned block with room in front, so that each layer prepends its header in place.
///
///     |<- headroom ->|<- bytes() ->|<- tailroom() ->|
///
/// Passing a Buffer by value hands it over; a Bytes argument is borrowed until the call returns.
/// A default-constructed or moved-from Buffer has no block.
class Buffer {
public:
    Buffer() = default;

    Buffer(std::size_t headroom, std::size_t capacity)
        : block_{std::make_unique_for_overwrite<std::byte[]>(headroom + capacity)}
        , begin_{headroom}
        , end_{headroom}
        , size_{headroom + capacity}
    {
    }

    [[nodiscard]] Bytes bytes() const { return {block_.get() + begin_, end_ - begin_}; }

    MutableBytes bytes() { return {block_.get() + begin_, end_ - begin_}; }

    MutableBytes tailroom() { return {block_.get() + end_, size_ - end_}; }

    [[nodiscard]] std::size_t size() const { return end_ - begin_; }

    [[nodiscard]] bool empty() const { return end_ == begin_; }

    [[nodiscard]] bool has_block() const { return block_ != nullptr; }

    /// The whole block, for a pool that sorts by size.
    [[nodiscard]] std::size_t block_size() const { return block_ ? size_ : 0; }

    /// Makes the first `n` bytes of tailroom() part of bytes(), after a read filled them.
    void commit(std::size_t n)
    {
        assert(n <= size_ - end_);
        end_ += n;
    }

    /// Grows bytes() to the front and returns the new part, for a header.
    MutableBytes prepend(std::size_t n)
    {
        assert(n <= begin_ && "the layer above reserved too little headroom");
        begin_ -= n;
        return bytes().first(n);
    }

    /// Drops the first `n` bytes, after they were used.
    void consume(std::size_t n)
    {
        assert(n <= end_ - begin_);
        begin_ += n;
    }

    /// Empties the buffer and sets its headroom, for reuse of the block.
    void reset(std::size_t headroom)
    {
        assert(headroom <= size_);
        begin_ = end_ = headroom;
    }

private:
    std::unique_ptr<std::byte[]> block_;
    std::size_t begin_ = 0, end_ = 0, size_ = 0;
};

/// Keeps up to `most` returned blocks of one size for reuse. One thread only; a Buffer taken from
/// one pool may be returned to another of the same block size.
class BufferPool {
public:
    BufferPool(std::size_t headroom, std::size_t capacity, std::size_t most)
        : headroom_{headroom}
        , capacity_{capacity}
        , most_{most}
    {
    }

    Buffer take()
    {
        if (free_.empty())
            return Buffer{headroom_, capacity_};
        Buffer buffer = std::move(free_.back());
        free_.pop_back();
        buffer.reset(headroom_);
        return buffer;
    }

    void give_back(Buffer buffer)
    {
        if (buffer.block_size() == headroom_ + capacity_ && free_.size() < most_)
            free_.push_back(std::move(buffer));
    }

private:
    std::size_t headroom_, capacity_, most_;
    std::vector<Buffer> free_;
};

} // namespace narrowlink

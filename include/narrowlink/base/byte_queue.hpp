#pragma once

#include "narrowlink/base/buffer.hpp"

#include <deque>

namespace narrowlink {

/// Bytes in order, kept in blocks so that they never move: a reader may hold spans into the queue
/// until it releases them. Small amounts get small blocks, so an idle queue costs nothing.
///
///     release() ──▶ |  kept: read, not yet released  |  unread  |  block(), to be filled  |
///                                                 cursor       end
class ByteQueue {
public:
    /// `pool` hands out the large blocks; it must outlive the queue.
    explicit ByteQueue(BufferPool& pool) : pool_{&pool} {}

    ByteQueue(ByteQueue&&) = default;
    ByteQueue& operator=(ByteQueue&&) = default;
    ByteQueue(const ByteQueue&) = delete;
    ByteQueue& operator=(const ByteQueue&) = delete;
    ~ByteQueue() { clear(); }

    /// Room to be filled, at the end; valid until the next call of a member function.
    MutableBytes block();

    /// Makes the first `n` bytes of block() part of the queue.
    void commit(std::size_t n);

    /// Copies `bytes` to the end.
    void append(Bytes bytes);

    /// All bytes that were not released.
    [[nodiscard]] std::size_t size() const { return size_; }

    [[nodiscard]] std::size_t unread() const { return size_ - read_; }

    /// Stores up to `most` unread bytes as spans and moves the cursor behind them.
    /// Returns the number of spans; they are valid until the bytes are released.
    std::size_t read(std::span<Bytes> spans, std::size_t most);

    /// The first bytes of the queue as spans, wherever the cursor is. Returns the number of spans.
    std::size_t peek(std::span<Bytes> spans) const;

    /// Drops the first `n` bytes. Requires: n <= size().
    void release(std::size_t n);

    void clear();

private:
    static constexpr std::size_t small_block = 2'048;
    static constexpr std::size_t least_room = 512;

    void add_block(bool large);

    BufferPool* pool_;
    std::deque<Buffer> blocks_;
    std::size_t size_ = 0;
    std::size_t read_ = 0;           ///< bytes before the cursor
    std::size_t cursor_block_ = 0;   ///< index into blocks_
    std::size_t cursor_offset_ = 0;  ///< within that block's bytes()
    bool busy_ = false;              ///< the last fill was large: hand out large blocks
    bool is_bulk_ = false;           ///< more than a small block was appended until it was empty last
    std::size_t appended_ = 0;       ///< since it was empty
};

} // namespace narrowlink

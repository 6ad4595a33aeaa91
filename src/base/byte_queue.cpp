#include "narrowlink/base/byte_queue.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace narrowlink {

void ByteQueue::add_block(bool large)
{
    blocks_.push_back(large ? pool_->take() : Buffer{0, small_block});
}

MutableBytes ByteQueue::block()
{
    if (blocks_.empty() || blocks_.back().tailroom().size() < least_room)
        add_block(busy_);
    return blocks_.back().tailroom();
}

void ByteQueue::commit(std::size_t n)
{
    busy_ = n == blocks_.back().tailroom().size();
    blocks_.back().commit(n);
    size_ += n;
}

void ByteQueue::append(Bytes bytes)
{
    if (blocks_.empty())
        is_bulk_ = std::exchange(appended_, 0) > small_block;
    while (!bytes.empty()) {
        if (blocks_.empty() || blocks_.back().tailroom().empty())
            add_block(is_bulk_ || appended_ + bytes.size() > small_block);
        const std::size_t n = std::min(bytes.size(), blocks_.back().tailroom().size());
        std::memcpy(blocks_.back().tailroom().data(), bytes.data(), n);
        blocks_.back().commit(n);
        size_ += n;
        appended_ += n;
        bytes = bytes.subspan(n);
    }
}

std::size_t ByteQueue::read(std::span<Bytes> spans, std::size_t most)
{
    std::size_t count = 0;
    while (count < spans.size() && most > 0 && cursor_block_ < blocks_.size()) {
        const Bytes left = std::as_const(blocks_[cursor_block_]).bytes().subspan(cursor_offset_);
        if (left.empty()) {
            if (cursor_block_ + 1 == blocks_.size())
                break;
            ++cursor_block_;
            cursor_offset_ = 0;
            continue;
        }
        const Bytes part = left.first(std::min(left.size(), most));
        spans[count++] = part;
        cursor_offset_ += part.size();
        read_ += part.size();
        most -= part.size();
    }
    return count;
}

std::size_t ByteQueue::peek(std::span<Bytes> spans) const
{
    std::size_t count = 0;
    for (const Buffer& block : blocks_) {
        if (count == spans.size())
            break;
        if (!block.empty())
            spans[count++] = block.bytes();
    }
    return count;
}

void ByteQueue::release(std::size_t n)
{
    assert(n <= size_);
    size_ -= n;
    read_ -= std::min(read_, n);
    while (n > 0) {
        Buffer& front = blocks_.front();
        const std::size_t part = std::min(n, front.size());
        front.consume(part);
        n -= part;
        if (cursor_block_ == 0)
            cursor_offset_ -= std::min(cursor_offset_, part);
        if (!front.empty() || blocks_.size() == 1)
            continue;
        pool_->give_back(std::move(front));
        blocks_.pop_front();
        if (cursor_block_ > 0)
            --cursor_block_;
    }
    if (size_ == 0)
        clear();
}

void ByteQueue::clear()
{
    for (Buffer& block : blocks_)
        pool_->give_back(std::move(block));
    blocks_.clear();
    size_ = read_ = cursor_block_ = cursor_offset_ = 0;
}

} // namespace narrowlink

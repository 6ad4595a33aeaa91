#include "narrowlink/base/buffer.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink {
namespace {

std::string text_of(const Buffer& buffer)
{
    return std::string{as_text(buffer.bytes())};
}

void put(Buffer& buffer, std::string_view text)
{
    std::ranges::copy(as_bytes(text), buffer.tailroom().begin());
    buffer.commit(text.size());
}

void put_in_front(Buffer& buffer, std::string_view text)
{
    std::ranges::copy(as_bytes(text), buffer.prepend(text.size()).begin());
}

TEST(Buffer, HasNoBlockUntilItGetsOne)
{
    Buffer none;
    EXPECT_FALSE(none.has_block());
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.block_size(), 0U);
    EXPECT_TRUE(none.tailroom().empty());

    Buffer some{8, 100};
    EXPECT_TRUE(some.has_block());
    EXPECT_TRUE(some.empty());
    EXPECT_EQ(some.block_size(), 108U);
    EXPECT_EQ(some.tailroom().size(), 100U);
}

TEST(Buffer, GrowsToBothSidesInPlace)
{
    Buffer buffer{8, 100};
    put(buffer, "payload");
    const std::byte* payload = buffer.bytes().data();
    put_in_front(buffer, "udp ");
    put_in_front(buffer, "ip  ");
    put(buffer, " tail");
    EXPECT_EQ(text_of(buffer), "ip  udp payload tail");
    EXPECT_EQ(buffer.bytes().data() + 8, payload);
    buffer.consume(4);
    EXPECT_EQ(text_of(buffer), "udp payload tail");
    EXPECT_EQ(buffer.size(), 16U);
}

TEST(Buffer, ConsumedRoomIsHeadroomAgain)
{
    Buffer buffer{0, 10};
    put(buffer, "0123456789");
    buffer.consume(5);
    put_in_front(buffer, "abcde");
    EXPECT_EQ(text_of(buffer), "abcde56789");
    EXPECT_TRUE(buffer.tailroom().empty());
}

TEST(Buffer, ResetsToAnyHeadroom)
{
    Buffer buffer{8, 100};
    put(buffer, "old");
    buffer.reset(50);
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.tailroom().size(), 58U);
    put_in_front(buffer, std::string(50, 'h'));
    EXPECT_EQ(buffer.size(), 50U);
    buffer.reset(108);
    EXPECT_TRUE(buffer.tailroom().empty());
}

TEST(Buffer, MovingHandsTheBlockOver)
{
    Buffer from{4, 16};
    put(from, "x");
    Buffer to{std::move(from)};
    EXPECT_EQ(text_of(to), "x");
    EXPECT_FALSE(from.has_block()); // NOLINT(bugprone-use-after-move): promised
    EXPECT_EQ(from.block_size(), 0U);
}

TEST(BufferPool, HandsOutWhatCameBack)
{
    BufferPool pool{8, 100, 1};
    Buffer first = pool.take();
    put(first, "used");
    const std::byte* block = first.bytes().data();
    pool.give_back(std::move(first));
    Buffer again = pool.take();
    EXPECT_EQ(again.tailroom().data(), block);
    EXPECT_TRUE(again.empty());
    EXPECT_EQ(again.tailroom().size(), 100U);
}

TEST(BufferPool, RestoresTheHeadroomOfAnotherPoolsBlock)
{
    BufferPool one{8, 100, 1};
    BufferPool other{100, 8, 1};
    Buffer buffer = one.take();
    const std::byte* block = buffer.tailroom().data() - 8;
    other.give_back(std::move(buffer));
    Buffer taken = other.take();
    EXPECT_EQ(taken.tailroom().size(), 8U);
    EXPECT_EQ(taken.tailroom().data(), block + 100);
}

TEST(BufferPool, KeepsNeitherForeignBlocksNorTooMany)
{
    BufferPool pool{0, 100, 1};
    pool.give_back({});
    pool.give_back(Buffer{0, 99});
    EXPECT_EQ(pool.take().block_size(), 100U);

    Buffer a = pool.take();
    Buffer b = pool.take();
    const std::byte* kept = a.tailroom().data();
    pool.give_back(std::move(a));
    pool.give_back(std::move(b)); // freed; the sanitizer would tell if it were kept and leaked
    Buffer first = pool.take();
    EXPECT_EQ(first.tailroom().data(), kept);
}

} // namespace
} // namespace narrowlink

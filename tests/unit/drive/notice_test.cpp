#include "narrowlink/drive/notice.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "../io/base_loop.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <utility>

namespace narrowlink::drive {
namespace {

using namespace std::chrono_literals;

struct NoticeTest : testing::Test {
    net::io_context loop{1};
    Notice notice{loop.get_executor()};
    int woken = 0;
};

net::awaitable<void> wait_once(Notice& notice, int& woken, Instant deadline)
{
    auto waiting = notice.wait_until(deadline);
    co_await std::move(waiting);
    ++woken;
}

net::awaitable<void> wait_twice(Notice& notice, int& woken)
{
    for (int i = 0; i < 2; ++i) {
        auto waiting = wait_once(notice, woken, never);
        co_await std::move(waiting);
    }
}

net::awaitable<void> yield()
{
    auto executor = co_await net::this_coro::executor;
    co_await net::post(executor, net::use_awaitable);
}

net::awaitable<void> yield_often()
{
    for (int i = 0; i < 20; ++i) {
        auto once = yield();
        co_await std::move(once);
    }
}

net::awaitable<void> all_ended(io::TaskScope& waiters)
{
    auto waiting = io::with_deadline(io::now() + 10s, waiters.wait());
    try {
        co_await std::move(waiting);
    } catch (const boost::system::system_error& error) {
        ADD_FAILURE() << waiters.size() << " still wait: " << error.what();
    }
}

net::awaitable<void> wake_three(Notice& notice, int& woken)
{
    io::TaskScope waiters{co_await net::this_coro::executor, [](const std::exception_ptr&) {}};
    waiters.spawn(wait_once(notice, woken, never));
    waiters.spawn(wait_once(notice, woken, never));
    waiters.spawn(wait_once(notice, woken, io::now() + 1h));
    auto before = yield_often();
    co_await std::move(before);
    EXPECT_EQ(woken, 0);
    notice.tell();
    auto waiting = all_ended(waiters);
    co_await std::move(waiting);
    EXPECT_EQ(woken, 3);
    auto joining = waiters.join();
    co_await std::move(joining);
}

TEST_F(NoticeTest, WakesEveryWaiter)
{
    io::test::run(loop, wake_three(notice, woken));
}

net::awaitable<void> tell_in_the_same_turn(Notice& notice, int& woken, Instant deadline)
{
    io::TaskScope waiters{co_await net::this_coro::executor, [](const std::exception_ptr&) {}};
    waiters.spawn(wait_once(notice, woken, deadline));
    notice.tell(); // before the loop has turned: the waiter has looked and then begun to wait
    auto waiting = all_ended(waiters);
    co_await std::move(waiting);
    auto joining = waiters.join();
    co_await std::move(joining);
}

TEST_F(NoticeTest, IsNotMissedByAWaiterThatHasJustBegun)
{
    io::test::run(loop, tell_in_the_same_turn(notice, woken, never));
    io::test::run(loop, tell_in_the_same_turn(notice, woken, io::now() + 20s));
    EXPECT_EQ(woken, 2);
}

net::awaitable<void> wake_once(Notice& notice, int& woken)
{
    io::TaskScope waiters{co_await net::this_coro::executor, [](const std::exception_ptr&) {}};
    waiters.spawn(wait_twice(notice, woken));
    notice.tell();
    notice.tell();
    auto after = yield_often();
    co_await std::move(after);
    EXPECT_EQ(woken, 1) << "what was told before a wait does not end it";
    notice.tell();
    auto waiting = all_ended(waiters);
    co_await std::move(waiting);
    EXPECT_EQ(woken, 2);
    auto joining = waiters.join();
    co_await std::move(joining);
}

TEST_F(NoticeTest, EndsOnlyWaitsThatHaveBegun)
{
    io::test::run(loop, wake_once(notice, woken));
}

TEST_F(NoticeTest, ThrowsTimedOutAtTheDeadline)
{
    EXPECT_EQ(io::test::error_of(loop, notice.wait_until(io::now() + 5ms)),
              boost::system::errc::timed_out);
    EXPECT_EQ(io::test::error_of(loop, notice.wait_until(io::now() - 1s)),
              boost::system::errc::timed_out);
}

net::awaitable<void> cancel_one(Notice& notice, int& woken)
{
    auto executor = co_await net::this_coro::executor;
    int cancelled = 0;
    const auto count = [&cancelled](const std::exception_ptr& failure) {
        cancelled += failure && io::is_cancellation(failure) ? 1 : 0;
    };
    io::TaskScope first{executor, count};
    io::TaskScope second{executor, count};
    first.spawn(wait_once(notice, woken, never));
    second.spawn(wait_once(notice, woken, never));
    auto joining = first.join();
    co_await std::move(joining);
    EXPECT_EQ(cancelled, 1);
    notice.tell();
    auto waiting = all_ended(second);
    co_await std::move(waiting);
    EXPECT_EQ(cancelled, 1);
    EXPECT_EQ(woken, 1);
    auto joining_second = second.join();
    co_await std::move(joining_second);
}

TEST_F(NoticeTest, ACancelledWaiterDoesNotDisturbTheOthers)
{
    io::test::run(loop, cancel_one(notice, woken));
}

} // namespace
} // namespace narrowlink::drive

#include "narrowlink/io/together.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/task_scope.hpp"

#include "base_loop.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

/// What is cancelled never takes it.
constexpr Duration ages = 5s;

struct Story {
    int returned = 0;
    int cancelled = 0;
    std::string failure;
};

net::awaitable<void> sleep(Duration duration)
{
    net::steady_timer timer{co_await net::this_coro::executor, now() + duration};
    co_await timer.async_wait(net::use_awaitable);
}

net::awaitable<void> return_after(Story& story, Duration duration)
{
    try {
        auto sleeping = sleep(duration);
        co_await std::move(sleeping);
    } catch (const boost::system::system_error&) {
        ++story.cancelled;
        throw;
    }
    ++story.returned;
}

net::awaitable<void> fail_after(Duration duration, std::string what)
{
    auto sleeping = sleep(duration);
    co_await std::move(sleeping);
    throw std::runtime_error{what};
}

net::awaitable<void> fail_at_once(std::string what)
{
    throw std::runtime_error{what};
    co_return;
}

/// Answers its cancellation with a failure of its own.
net::awaitable<void> fail_when_cancelled(std::string what)
{
    try {
        auto sleeping = sleep(ages);
        co_await std::move(sleeping);
    } catch (const boost::system::system_error&) {
        throw std::runtime_error{what};
    }
}

struct Together : testing::Test {
    std::string failure_of(net::awaitable<void> task)
    {
        try {
            test::run(loop, std::move(task));
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "none";
    }

    net::io_context loop{1};
    Story story;
};

TEST_F(Together, ReturnsWhenAllHaveReturned)
{
    test::run(loop, together(return_after(story, 1ms), return_after(story, 5ms)));
    EXPECT_EQ(story.returned, 2);
    test::run(loop, together(return_after(story, 1ms), return_after(story, 0ms),
                             return_after(story, 5ms)));
    EXPECT_EQ(story.returned, 5);
    EXPECT_EQ(story.cancelled, 0);
}

TEST_F(Together, TheFirstFailureEndsTheOtherAndIsPassedOn)
{
    EXPECT_EQ(failure_of(together(return_after(story, ages), fail_after(1ms, "right"))), "right");
    EXPECT_EQ(failure_of(together(fail_after(1ms, "left"), return_after(story, ages))), "left");
    EXPECT_EQ(story.cancelled, 2);
    EXPECT_EQ(story.returned, 0);
}

TEST_F(Together, EachOfThreeMayBeTheFirstToFail)
{
    EXPECT_EQ(failure_of(together(fail_after(1ms, "1st"), return_after(story, ages),
                                  return_after(story, ages))),
              "1st");
    EXPECT_EQ(failure_of(together(return_after(story, ages), fail_after(1ms, "2nd"),
                                  return_after(story, ages))),
              "2nd");
    EXPECT_EQ(failure_of(together(return_after(story, ages), return_after(story, ages),
                                  fail_after(1ms, "3rd"))),
              "3rd");
    EXPECT_EQ(story.cancelled, 6);
}

TEST_F(Together, AFailureBeforeTheFirstAwaitCounts)
{
    EXPECT_EQ(failure_of(together(fail_at_once("at once"), return_after(story, ages))), "at once");
    EXPECT_EQ(failure_of(together(return_after(story, ages), fail_at_once("at once"))), "at once");
    EXPECT_EQ(story.returned, 0);
}

TEST_F(Together, ALaterFailureDoesNotHideTheFirst)
{
    EXPECT_EQ(failure_of(together(fail_when_cancelled("second"), fail_after(1ms, "first"))),
              "first");
    EXPECT_EQ(failure_of(together(fail_after(1ms, "first"), fail_when_cancelled("second"))),
              "first");
    EXPECT_EQ(failure_of(together(fail_when_cancelled("second"), fail_when_cancelled("third"),
                                  fail_after(1ms, "first"))),
              "first");
}

TEST_F(Together, OneThatReturnsEndsNobody)
{
    test::run(loop, together(return_after(story, 0ms), return_after(story, 20ms)));
    EXPECT_EQ(story.returned, 2);
    EXPECT_EQ(failure_of(together(return_after(story, 0ms), fail_after(20ms, "late"))), "late");
}

net::awaitable<void> note_failure(Story& story, net::awaitable<void> task)
{
    try {
        co_await std::move(task);
    } catch (const boost::system::system_error& error) {
        story.failure = error.code() == net::error::operation_aborted ? "aborted" : error.what();
    }
}

net::awaitable<void> cancel_all(Story& story)
{
    auto executor = co_await net::this_coro::executor;
    TaskScope scope{executor, [](const std::exception_ptr&) {}};
    scope.spawn(note_failure(story, together(return_after(story, ages), return_after(story, ages),
                                             return_after(story, ages))));
    co_await net::post(executor, net::use_awaitable);
    auto joining = scope.join();
    co_await std::move(joining);
}

TEST_F(Together, CancellingTheCallerCancelsEveryTask)
{
    test::run(loop, cancel_all(story));
    EXPECT_EQ(story.cancelled, 3);
    EXPECT_EQ(story.failure, "aborted");
}

} // namespace
} // namespace narrowlink::io

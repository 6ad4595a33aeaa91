#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include "base_loop.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
using boost::system::errc::timed_out;

net::awaitable<void> sleep(Duration duration)
{
    net::steady_timer timer{co_await net::this_coro::executor, now() + duration};
    co_await timer.async_wait(net::use_awaitable);
}

net::awaitable<std::string> answer_after(Duration duration, std::string answer)
{
    co_await sleep(duration);
    co_return answer;
}

net::awaitable<void> fail_after(Duration duration)
{
    co_await sleep(duration);
    throw std::runtime_error{"the task's own failure"};
}

net::awaitable<void> note_when_ended(bool& ended)
{
    struct Note {
        bool& flag;

        explicit Note(bool& f) : flag{f} {}

        Note(const Note&) = delete;
        Note& operator=(const Note&) = delete;

        ~Note() { flag = true; }
    };

    const Note note{ended};
    co_await sleep(1h);
}

net::awaitable<tcp::socket> accept(tcp::acceptor& acceptor)
{
    co_return co_await acceptor.async_accept(net::use_awaitable);
}

struct WithDeadline : testing::Test {
    net::io_context loop;
};

TEST_F(WithDeadline, ReturnsTheValueOfATaskThatIsInTime)
{
    EXPECT_EQ(test::run(loop, with_deadline(now() + 1h, answer_after(1ms, "yes"))), "yes");
}

TEST_F(WithDeadline, ThrowsTimedOutOnlyAfterTheTaskHasReallyEnded)
{
    bool ended = false;
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, note_when_ended(ended))), timed_out);
    EXPECT_TRUE(ended);
}

TEST_F(WithDeadline, ReportsATaskThatFailsAtOnceWithoutWaitingForTheTimer)
{
    EXPECT_THROW(test::run(loop, with_deadline(now() + 1h, fail_after(1ms))), std::runtime_error);
}

TEST_F(WithDeadline, NeedsNoTimerForNever)
{
    EXPECT_EQ(test::run(loop, with_deadline(never, answer_after(1ms, "yes"))), "yes");
}

TEST_F(WithDeadline, HandsOverASocket)
{
    tcp::acceptor acceptor{loop, {net::ip::address_v4::loopback(), 0}};
    tcp::socket near{loop};
    near.connect(acceptor.local_endpoint());
    const auto far = test::run(loop, with_deadline(now() + 1h, accept(acceptor)));
    EXPECT_EQ(far.remote_endpoint(), near.local_endpoint());
}

net::awaitable<void> nested(bool& ended, boost::system::error_code& seen)
{
    try {
        co_await with_deadline(now() + 1h, note_when_ended(ended));
    } catch (const boost::system::system_error& error) {
        seen = error.code();
        throw;
    }
}

TEST_F(WithDeadline, PassesTheCancellationOfItsCallerOn)
{
    bool ended = false;
    boost::system::error_code seen;
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, nested(ended, seen))), timed_out);
    EXPECT_TRUE(ended);
    EXPECT_EQ(seen, net::error::operation_aborted) << "the inner deadline was far away";
}

net::awaitable<void> say_goodbye_when_cancelled()
{
    co_await net::this_coro::throw_if_cancelled(false);
    try {
        co_await sleep(1h);
    } catch (const boost::system::system_error&) {
        // cancelled
    }
    co_await sleep(2ms);
}

net::awaitable<void> note_error(net::awaitable<void> task, boost::system::error_code& seen)
{
    try {
        co_await std::move(task);
    } catch (const boost::system::system_error& error) {
        seen = error.code();
    }
}

TEST_F(WithDeadline, DoesNotTakeItsCallersCancellationForItsDeadline)
{
    boost::system::error_code seen;
    auto inner = with_deadline(now() + 1h, say_goodbye_when_cancelled());
    auto outer = note_error(std::move(inner), seen);
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, std::move(outer))), timed_out);
    EXPECT_EQ(seen, net::error::operation_aborted);
}

TEST_F(WithDeadline, MayBeUsedOftenInOneCoroutine)
{
    struct Loop {
        static net::awaitable<int> run()
        {
            int done = 0;
            for (int i = 0; i < 1'000; ++i) {
                auto task = answer_after(0ms, std::string(100, 'x'));
                auto bounded = with_deadline(now() + 1h, std::move(task));
                done += (co_await std::move(bounded)).size() == 100;
            }
            co_return done;
        }
    };

    EXPECT_EQ(test::run(loop, Loop::run()), 1'000);
}

struct Scope : testing::Test {
    net::io_context loop;
    std::vector<std::exception_ptr> exits;
    TaskScope scope{loop.get_executor(),
                    [this](std::exception_ptr failure) { exits.push_back(std::move(failure)); }};
};

TEST_F(Scope, TellsHowEachTaskEnded)
{
    scope.spawn(sleep(1ms));
    scope.spawn(fail_after(2ms));
    loop.run();
    ASSERT_EQ(exits.size(), 2U);
    EXPECT_EQ(exits[0], nullptr);
    EXPECT_NE(exits[1], nullptr);
    EXPECT_FALSE(is_cancellation(exits[1]));
    EXPECT_TRUE(scope.empty());
}

TEST_F(Scope, JoinCancelsEveryTaskAndWaitsForTheLast)
{
    std::array<bool, 3> ended{};
    for (bool& flag : ended)
        scope.spawn(note_when_ended(flag));
    EXPECT_EQ(scope.size(), 3U);
    test::run(loop, scope.join());
    EXPECT_EQ(ended, (std::array{true, true, true}));
    for (const auto& failure : exits)
        EXPECT_TRUE(is_cancellation(failure));
}

TEST_F(Scope, JoinOfAnEmptyScopeReturns)
{
    test::run(loop, scope.join());
    EXPECT_TRUE(exits.empty());
}

net::awaitable<void> own_a_task(TaskScope& scope, bool& ended)
{
    scope.spawn(note_when_ended(ended));
    co_await sleep(1h);
}

TEST_F(Scope, RunJoinsEvenWhenItsCallerIsCancelled)
{
    bool ended = false;
    auto body = scope.run(own_a_task(scope, ended));
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, std::move(body))), timed_out);
    EXPECT_TRUE(ended);
}

net::awaitable<void> run_then_sleep(TaskScope& scope, bool& ended, bool& went_on)
{
    try {
        co_await scope.run(own_a_task(scope, ended));
    } catch (const boost::system::system_error&) {
        // as a loop that tries again would do
    }
    co_await sleep(0ms);
    went_on = true;
}

TEST_F(Scope, RunLeavesTheCallerCancelled)
{
    bool ended = false;
    bool went_on = false;
    auto task = run_then_sleep(scope, ended, went_on);
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 5ms, std::move(task))), timed_out);
    EXPECT_TRUE(ended);
    EXPECT_FALSE(went_on);
}

TEST_F(Scope, RunPassesOnWhatTheBodyThrew)
{
    EXPECT_THROW(test::run(loop, scope.run(fail_after(1ms))), std::runtime_error);
}

net::awaitable<void> spawn_when_cancelled(TaskScope& scope, bool& ended)
{
    boost::system::error_code ignored;
    net::steady_timer timer{co_await net::this_coro::executor, never};
    co_await timer.async_wait(net::redirect_error(net::use_awaitable, ignored));
    scope.spawn(note_when_ended(ended));
}

TEST_F(Scope, CancelsATaskThatIsSpawnedDuringJoin)
{
    bool ended = false;
    scope.spawn(spawn_when_cancelled(scope, ended));
    test::run(loop, scope.join());
    EXPECT_TRUE(ended);
}

TEST_F(Scope, WaitReturnsWhenTheTasksHaveEndedByThemselves)
{
    scope.spawn(sleep(1ms));
    test::run(loop, scope.wait());
    ASSERT_EQ(exits.size(), 1U);
    EXPECT_EQ(exits[0], nullptr);
}

struct EventTest : testing::Test {
    net::io_context loop;
    Event event{loop.get_executor()};
};

TEST_F(EventTest, LetsOneWaitThroughForManySets)
{
    event.set();
    event.set();
    test::run(loop, event.wait());
    EXPECT_FALSE(event.is_set());
    EXPECT_FALSE(test::run(loop, event.wait_until(now() + 1ms)));
}

TEST_F(EventTest, WakesAWaiterThatCameFirst)
{
    net::steady_timer timer{loop, now() + 2ms};
    timer.async_wait([&](boost::system::error_code) { event.set(); });
    EXPECT_TRUE(test::run(loop, event.wait_until(now() + 1h)));
}

net::awaitable<void> count_after_wait(Event& event, int& count)
{
    co_await event.wait();
    ++count;
}

TEST_F(EventTest, WakesOneOfTwoWaitersPerSet)
{
    int count = 0;
    TaskScope scope{loop.get_executor(), nullptr};
    scope.spawn(count_after_wait(event, count));
    scope.spawn(count_after_wait(event, count));
    net::post(loop, [&] { event.set(); });
    loop.poll();
    EXPECT_EQ(count, 1);
    net::post(loop, [&] { event.set(); });
    loop.restart();
    loop.poll();
    EXPECT_EQ(count, 2);
    loop.restart();
    test::run(loop, scope.join());
}

TEST_F(EventTest, EndsAWaitThatIsCancelled)
{
    EXPECT_EQ(test::error_of(loop, with_deadline(now() + 2ms, event.wait())), timed_out);
    event.set();
    test::run(loop, event.wait());
}

TEST_F(EventTest, ForgetsASetThatIsCleared)
{
    event.set();
    event.clear();
    EXPECT_FALSE(test::run(loop, event.wait_until(now() + 1ms)));
}

} // namespace
} // namespace narrowlink::io

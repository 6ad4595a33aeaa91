#include "lookup_threads.hpp"

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/system/system_error.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

namespace narrowlink::io {

Question::Question(Lookup lookup, std::string host)
    : lookup_{std::move(lookup)}
    , host_{std::move(host)}
    , event_fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}
{
    if (event_fd_ < 0)
        throw boost::system::system_error{errno, boost::system::system_category()};
}

Question::~Question()
{
    ::close(event_fd_);
}

std::optional<Result<std::vector<IpAddress>>> Question::answer()
{
    const std::scoped_lock lock{mutex_};
    return answer_;
}

void Question::abandon()
{
    const std::scoped_lock lock{mutex_};
    abandoned_ = true;
}

std::size_t Question::lookups_under_way()
{
    const std::scoped_lock lock{mutex_};
    return under_way_;
}

void Question::expect_one_more()
{
    const std::scoped_lock lock{mutex_};
    ++under_way_;
}

void Question::look_up()
{
    {
        const std::scoped_lock lock{mutex_};
        if (abandoned_ || answer_)
            return;
    }
    auto answer = lookup_(host_);

    const std::scoped_lock lock{mutex_};
    --under_way_;
    const bool may_change = !answer && answer.error() != ResolveError::no_such_name;
    if (answer_ || (may_change && under_way_ > 0))
        return; // a lookup that began later may find the network back
    answer_ = std::move(answer);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_fd_, &one, sizeof one);
}

LookupThreads& LookupThreads::of_this_process()
{
    // Never destroyed: threads may still be inside it when the process ends.
    static auto* const threads = new LookupThreads; // NOLINT(cppcoreguidelines-owning-memory)
    return *threads;
}

void LookupThreads::ask(const std::shared_ptr<Question>& question)
{
    question->expect_one_more();
    const std::scoped_lock lock{mutex_};
    queue_.push_back(question);
    if (idle_ >= queue_.size() || threads_ >= most_threads) {
        queued_.notify_one();
        return;
    }
    try {
        std::thread{&LookupThreads::work, this}.detach();
        ++threads_;
    } catch (const std::system_error&) {
        if (threads_ > 0)
            return; // one of them will come to it
        queue_.pop_back();
        throw;
    }
}

bool LookupThreads::is_busy()
{
    const std::scoped_lock lock{mutex_};
    return threads_ - idle_ >= many_threads;
}

void LookupThreads::work()
{
    constexpr auto idle_life = std::chrono::seconds{30};
    std::unique_lock lock{mutex_};
    for (;;) {
        ++idle_;
        const bool work_came =
            queued_.wait_for(lock, idle_life, [this] { return !queue_.empty(); });
        --idle_;
        if (!work_came)
            break;
        auto question = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        question->look_up();
        question.reset();
        lock.lock();
    }
    --threads_;
}

} // namespace narrowlink::io

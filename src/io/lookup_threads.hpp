#pragma once

#include "narrowlink/io/resolve.hpp"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::io {

/// One question, asked by one coroutine and answered by whichever of its lookups is first.
///
/// The threads know only this object, never the event loop, which may be gone when a lookup ends.
class Question {
public:
    Question(Lookup lookup, std::string host);
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;
    ~Question();

    /// Readable once there is an answer; owned by the question.
    [[nodiscard]] int descriptor() const { return event_fd_; }

    /// Empty while lookups are under way that may still answer.
    std::optional<Result<std::vector<IpAddress>>> answer();

    std::size_t lookups_under_way();

    /// Lookups that nobody has begun yet are dropped.
    void abandon();

private:
    friend class LookupThreads;

    void look_up();
    void expect_one_more();

    const Lookup lookup_;
    const std::string host_;
    int event_fd_;
    std::mutex mutex_;
    std::size_t under_way_ = 0;
    bool abandoned_ = false;
    std::optional<Result<std::vector<IpAddress>>> answer_;
};

/// The threads of the whole process that may block in getaddrinfo(3). They come when there is work,
/// at most 32, and go after a while without; none is ever waited for, so that the process can end
/// while a lookup hangs.
class LookupThreads {
public:
    static LookupThreads& of_this_process();

    void ask(const std::shared_ptr<Question>& question);

    /// Are so many threads busy that only first questions should be asked?
    bool is_busy();

private:
    void work();

    static constexpr std::size_t most_threads = 32;
    static constexpr std::size_t many_threads = 16;

    std::mutex mutex_;
    std::condition_variable queued_;
    std::deque<std::shared_ptr<Question>> queue_;
    std::size_t threads_ = 0, idle_ = 0;
};

} // namespace narrowlink::io

#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"

#include <cstdint>
#include <deque>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// Draws everything that is left to chance: splitmix64.
class Dice final : public Random {
public:
    explicit Dice(std::uint64_t seed) : state_{seed} {}

    void fill(MutableBytes block) override;

    std::uint64_t draw();

    /// 0 … n − 1.
    std::uint64_t below(std::uint64_t n) { return draw() % n; }

    /// Both ends included.
    std::uint64_t between(std::uint64_t least, std::uint64_t most);
    Duration between(Duration least, Duration most);
    /// Spread evenly over the orders of magnitude.
    std::uint64_t between_magnitudes(std::uint64_t least, std::uint64_t most);
    bool chance(double probability);

private:
    std::uint64_t state_;
};

/// What an object's tasks are tied to: a task of an object that is gone is dropped.
class Life {
public:
    [[nodiscard]] std::weak_ptr<const void> watch() const { return token_; }

private:
    std::shared_ptr<const char> token_ = std::make_shared<const char>();
};

/// A computer: its tasks and, unless they are to find that time has passed, its clock stand still
/// while it sleeps.
class Machine {
public:
    [[nodiscard]] bool is_asleep() const { return asleep_; }

private:
    friend class World;

    bool asleep_ = false;
    Instant asleep_since_{};
    Duration slept_{}; ///< by how much its clock is late
};

/// Virtual time and the order of everything that happens in it. One seed, one history.
class World {
public:
    using Task = std::function<void()>;

    explicit World(std::uint64_t seed);

    /// By the clock of the machine whose task this is; that of the network is never late.
    [[nodiscard]] Instant now() const { return local(now_); }

    [[nodiscard]] Instant true_now() const { return now_; }

    /// While it lives, what is done is a task of this machine, or of the network and the tests
    /// (nothing). Tasks that are asked for meanwhile are the same's.
    class On {
    public:
        On(World& world, std::shared_ptr<Machine> machine)
            : world_{&world}, before_{std::exchange(world.machine_, std::move(machine))}
        {
        }

        ~On() { world_->machine_ = std::move(before_); }

        On(const On&) = delete;
        On& operator=(const On&) = delete;

    private:
        World* world_;
        std::shared_ptr<Machine> before_;
    };

    void suspend(Machine&);
    /// `clock_stood`: its clock has not gone on, as with CLOCK_MONOTONIC of a computer that slept.
    /// Otherwise it finds itself later at once, as a stopped process or virtual machine does.
    void resume(Machine&, bool clock_stood);

    /// For the plan of a history, for what the network does, and for the cores: apart, so that a
    /// change of one leaves the others as they were.
    Dice plan, network, cores;

    void at(Instant when, const Life& life, Task task);

    void after(Duration wait, const Life& life, Task task)
    {
        at(now() + wait, life, std::move(task));
    }

    /// Now, but not from within what happens now.
    void post(const Life& life, Task task) { at(now(), life, std::move(task)); }

    /// Runs what happens until `when`, or until something has failed.
    void run_until(Instant when);

    /// Only the first failure is kept.
    void fail(std::string what);

    [[nodiscard]] bool has_failed() const { return failure_.has_value(); }

    [[nodiscard]] const std::optional<std::string>& failure() const { return failure_; }

    /// Remembers what happened, for the trace of a failure and for fingerprint().
    template <class... Values>
    void note(fmt::format_string<Values...> format, Values&&... values)
    {
        add_note(fmt::format(format, std::forward<Values>(values)...));
    }

    /// Adds to fingerprint() only.
    void mix(std::uint64_t value);

    /// Two runs of one seed have the same.
    [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

    /// The last notes, one per line.
    [[nodiscard]] std::string trace() const;

private:
    struct Entry {
        Instant when;
        std::uint64_t number; ///< what was asked for first happens first
        std::weak_ptr<const void> life;
        Task task;
        std::shared_ptr<Machine> machine;
        Duration slept; ///< by the machine, when it was asked for

        bool operator<(const Entry& other) const
        {
            return std::tie(when, number) > std::tie(other.when, other.number);
        }
    };

    static constexpr std::size_t most_notes = 60;

    [[nodiscard]] Instant local(Instant when) const
    {
        return machine_ ? when - machine_->slept_ : when;
    }

    void push(Entry entry);
    void add_note(std::string text);
    [[nodiscard]] double seconds_since_start() const;

    Instant start_;
    Instant now_;
    std::uint64_t entries_ = 0;
    std::vector<Entry> heap_;
    std::vector<Entry> parked_; ///< of machines that sleep
    std::shared_ptr<Machine> machine_;
    std::deque<std::string> notes_;
    std::uint64_t fingerprint_ = 0;
    std::optional<std::string> failure_;
};

/// One task at one time, which can be moved.
class Timer {
public:
    Timer(World& world, World::Task task);

    void expires_at(Instant when);

    void cancel() { expires_at(never); }

private:
    void arm();
    void fire();

    World* world_;
    World::Task task_;
    Instant wanted_ = never;
    Instant armed_ = never;
    std::uint64_t armings_ = 0;
    Life life_;
};

} // namespace narrowlink::sim

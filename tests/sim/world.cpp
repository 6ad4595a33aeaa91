#include "world.hpp"

#include <algorithm>
#include <cmath>

namespace narrowlink::sim {
namespace {

std::uint64_t scramble(std::uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

} // namespace

std::uint64_t Dice::draw()
{
    return scramble(state_ += 0x9e3779b97f4a7c15);
}

void Dice::fill(MutableBytes block)
{
    for (std::byte& b : block)
        b = static_cast<std::byte>(draw() & 0xff);
}

std::uint64_t Dice::between(std::uint64_t least, std::uint64_t most)
{
    return least + below(most - least + 1);
}

Duration Dice::between(Duration least, Duration most)
{
    return least + Duration{static_cast<Duration::rep>(
                       below(static_cast<std::uint64_t>((most - least).count()) + 1))};
}

std::uint64_t Dice::between_magnitudes(std::uint64_t least, std::uint64_t most)
{
    const double part = static_cast<double>(below(1'000'001)) / 1e6;
    const double low = std::log(static_cast<double>(least) + 1);
    const double high = std::log(static_cast<double>(most) + 1);
    return static_cast<std::uint64_t>(std::lround(std::exp(low + part * (high - low)))) - 1;
}

bool Dice::chance(double probability)
{
    return static_cast<double>(below(1'000'000)) < probability * 1e6;
}

World::World(std::uint64_t seed)
    : plan{scramble(seed)}
    , network{scramble(seed + 0x1000'0000'0000)}
    , cores{scramble(seed + 0x2000'0000'0000)}
    , start_{plan.between(Duration{seconds{1}}, Duration{std::chrono::hours{10'000}})}
    , now_{start_}
{
}

void World::at(Instant when, const Life& life, Task task)
{
    const Duration slept = machine_ ? machine_->slept_ : Duration{};
    const Instant true_when = when > never - slept ? never : when + slept;
    push({std::max(true_when, now_), ++entries_, life.watch(), std::move(task), machine_, slept});
}

void World::push(Entry entry)
{
    heap_.push_back(std::move(entry));
    std::push_heap(heap_.begin(), heap_.end());
}

void World::suspend(Machine& machine)
{
    machine.asleep_ = true;
    machine.asleep_since_ = now_;
}

void World::resume(Machine& machine, bool clock_stood)
{
    machine.asleep_ = false;
    if (clock_stood)
        machine.slept_ += now_ - machine.asleep_since_;
    const auto others = std::ranges::stable_partition(
        parked_, [&](const Entry& entry) { return entry.machine.get() != &machine; });
    for (Entry& entry : others)
        push(std::move(entry));
    parked_.erase(others.begin(), others.end());
}

void World::run_until(Instant when)
{
    while (!has_failed() && !heap_.empty() && heap_.front().when <= when) {
        std::pop_heap(heap_.begin(), heap_.end());
        Entry entry = std::move(heap_.back());
        heap_.pop_back();
        now_ = std::max(now_, entry.when);
        if (entry.life.expired())
            continue;
        if (entry.machine && entry.machine->asleep_) {
            parked_.push_back(std::move(entry));
            continue;
        }
        if (entry.machine && entry.machine->slept_ != entry.slept) { // its clock has stood since
            entry.when += entry.machine->slept_ - std::exchange(entry.slept, entry.machine->slept_);
            push(std::move(entry));
            continue;
        }
        const On machine{*this, entry.machine};
        entry.task();
    }
    if (!has_failed())
        now_ = std::max(now_, when);
}

void World::fail(std::string what)
{
    note("FAILED: {}", what);
    if (!failure_)
        failure_ = std::move(what);
}

void World::mix(std::uint64_t value)
{
    fingerprint_ =
        scramble(fingerprint_ ^ value) + static_cast<std::uint64_t>((now_ - start_).count());
}

double World::seconds_since_start() const
{
    return std::chrono::duration<double>(now_ - start_).count();
}

void World::add_note(std::string text)
{
    mix(std::hash<std::string>{}(text));
    if (notes_.size() == most_notes)
        notes_.pop_front();
    notes_.push_back(fmt::format("{:12.6f}  {}", seconds_since_start(), text));
}

std::string World::trace() const
{
    std::string text;
    for (const std::string& note : notes_)
        text += note + '\n';
    return text;
}

Timer::Timer(World& world, World::Task task) : world_{&world}, task_{std::move(task)} {}

void Timer::expires_at(Instant when)
{
    wanted_ = when;
    if (wanted_ < armed_)
        arm();
}

void Timer::arm()
{
    armed_ = wanted_;
    world_->at(armed_, life_, [this, number = ++armings_] {
        if (number == armings_) // else an earlier time has taken its place
            fire();
    });
}

void Timer::fire()
{
    armed_ = never;
    if (wanted_ > world_->now()) {
        if (wanted_ != never)
            arm();
        return;
    }
    wanted_ = never;
    task_();
}

} // namespace narrowlink::sim

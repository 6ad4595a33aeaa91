#pragma once

#include "narrowlink/base/log_level.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace narrowlink::io {

/// Sets what is logged and how. Without this call: info and above, as text. May be called again at
/// any time, from any thread.
///
/// A line goes to stderr, at once:
///
///     2026-11-23T10:20:30.123Z info agent_connected agent=home address=192.0.2.1:4711
///     {"time":"2026-11-23T10:20:30.123Z","level":"info","event":"agent_connected","agent":"home",…}
void start_log(LogLevel least, LogFormat format);

namespace detail {

inline std::atomic<LogLevel> least_logged{LogLevel::info};

template <class T>
concept HasToString = requires(const T& value)
{
    {
        to_string(value)
        } -> std::convertible_to<std::string>;
};

} // namespace detail

/// Would a line of this level be written? For callers whose values are expensive to make.
inline bool is_logged(LogLevel level)
{
    return level >= detail::least_logged.load(std::memory_order_relaxed);
}

/// The value of one field. Text is borrowed.
class LogValue {
public:
    explicit LogValue(bool value) : value_{value} {}

    template <std::signed_integral T>
    explicit LogValue(T value) : value_{static_cast<std::int64_t>(value)}
    {
    }

    template <std::unsigned_integral T>
    explicit LogValue(T value) : value_{static_cast<std::uint64_t>(value)}
    {
    }

    explicit LogValue(double value) : value_{value} {}

    explicit LogValue(const char* text) : value_{std::string_view{text}} {}

    explicit LogValue(std::string_view text) : value_{text} {}

    explicit LogValue(const std::string& text) : value_{std::string_view{text}} {}

    explicit LogValue(const ErrorCode& error) : made_{error.message()} {}

    template <class Rep, class Period>
    explicit LogValue(std::chrono::duration<Rep, Period> value)
        : made_{from_duration(std::chrono::duration_cast<Duration>(value))}
    {
    }

    template <detail::HasToString T>
    explicit LogValue(const T& value) : made_{to_string(value)}
    {
    }

    /// Text that was made for the log rather than borrowed is the monostate here.
    using Value =
        std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string_view>;

    [[nodiscard]] const Value& value() const { return value_; }

    [[nodiscard]] const std::string& made() const { return made_; }

private:
    static std::string from_duration(Duration);

    Value value_;
    std::string made_; // not in the variant: GCC 12 then warns about each caller with a number
};

namespace detail {

void write_event(LogLevel level, std::string_view event, std::span<const LogValue> keys_and_values);

} // namespace detail

/// Logs what happened: a fixed word that can be searched for, and fields as alternating keys and
/// values. Both are listed in docs/operations.md.
///
///     log_event(LogLevel::info, "path_opened", "agent", name, "rtt", rtt);
///
/// Values may come from a peer: nothing that a terminal would obey, and no line break, gets
/// through. They may be numbers, text, durations, ErrorCode, or anything with a to_string().
template <class... KeysAndValues>
void log_event(LogLevel level, std::string_view event, const KeysAndValues&... keys_and_values)
{
    static_assert(sizeof...(KeysAndValues) % 2 == 0, "each key needs a value");
    if (!is_logged(level))
        return;
    const std::array<LogValue, sizeof...(KeysAndValues)> fields{LogValue{keys_and_values}...};
    detail::write_event(level, event, fields);
}

} // namespace narrowlink::io

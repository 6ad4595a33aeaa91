#include "narrowlink/io/log.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace narrowlink::io {
namespace {

using Line = fmt::memory_buffer;

constexpr std::size_t longest_value = 1'024; // a peer may have chosen it

std::atomic<LogFormat> current_format{LogFormat::text};

std::unique_ptr<spdlog::formatter> formatter(LogFormat format)
{
    const std::string pattern = format == LogFormat::json
                                    ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                    : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
    return std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc);
}

spdlog::logger& logger()
{
    // Never destroyed: threads that outlive main() may still log.
    static auto* const instance = [] {
        auto* const created =
            new spdlog::logger{// NOLINT(cppcoreguidelines-owning-memory)
                               "narrowlink", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
        created->set_level(spdlog::level::trace); // is_logged() has decided
        created->set_formatter(formatter(LogFormat::text));
        return created;
    }();
    return *instance;
}

spdlog::level::level_enum spdlog_level(LogLevel level)
{
    switch (level) {
    case LogLevel::trace: return spdlog::level::trace;
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

void append(Line& line, std::string_view text)
{
    line.append(text.data(), text.data() + text.size());
}

/// One code point of `text`, which is not empty: its length in bytes, or 0 for invalid UTF-8
/// (RFC 3629 §4).
std::size_t decode_utf8(std::string_view text, char32_t& code_point)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    std::size_t length = 0;
    if (lead < 0x80)
        length = 1;
    else if (lead >= 0xc2 && lead < 0xf5)
        length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || length > text.size())
        return 0;
    code_point = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
        code_point = code_point << 6 | (byte(i) & 0x3fU);
    }
    constexpr std::array<char32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code_point >= 0xd800 && code_point < 0xe000;
    return code_point < least[length] || surrogate || code_point > 0x10ffff ? 0 : length;
}

/// Control characters of either set, and what changes the direction or hides parts of a text.
bool is_dangerous(char32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000;
}

/// As a JSON string (RFC 8259 §7). Invalid UTF-8 becomes U+FFFD.
void append_quoted(Line& line, std::string_view text)
{
    line.push_back('"');
    while (!text.empty()) {
        char32_t c = 0;
        const std::size_t length = decode_utf8(text, c);
        if (length == 0)
            append(line, "\\ufffd");
        else if (c == '"' || c == '\\')
            append(line, c == '"' ? "\\\"" : "\\\\");
        else if (c == '\n')
            append(line, "\\n");
        else if (is_dangerous(c) && c < 0x10000)
            fmt::format_to(std::back_inserter(line), "\\u{:04x}", static_cast<std::uint32_t>(c));
        else if (is_dangerous(c))
            append(line, "\\ufffd");
        else
            append(line, text.substr(0, length));
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    line.push_back('"');
}

bool needs_no_quotes(std::string_view text)
{
    constexpr std::string_view harmless = "-_.:/@+,%[]*~#";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               harmless.find(c) != std::string_view::npos;
    });
}

void append_text(Line& line, std::string_view text, LogFormat format)
{
    const bool cut = text.size() > longest_value;
    if (format == LogFormat::text && !cut && needs_no_quotes(text))
        append(line, text);
    else if (!cut)
        append_quoted(line, text);
    else
        append_quoted(line, fmt::format("{}...", text.substr(0, longest_value)));
}

void append_value(Line& line, const LogValue& value, LogFormat format)
{
    const auto write = [&]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, std::monostate>)
            append_text(line, value.made(), format);
        else if constexpr (std::is_same_v<T, std::string_view>)
            append_text(line, v, format);
        else
            fmt::format_to(std::back_inserter(line), "{}", v);
    };
    std::visit(write, value.value());
}

void append_field(Line& line, const LogValue& key, const LogValue& value, LogFormat format)
{
    line.push_back(format == LogFormat::text ? ' ' : ',');
    append_value(line, key, format);
    line.push_back(format == LogFormat::text ? '=' : ':');
    append_value(line, value, format);
}

} // namespace

std::string LogValue::from_duration(Duration duration)
{
    struct Unit {
        double nanoseconds;
        std::string_view name;
    };

    constexpr std::array<Unit, 3> units = {{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};
    const auto count = static_cast<double>(duration.count());
    for (const Unit& unit : units)
        if (std::abs(count) >= unit.nanoseconds)
            return fmt::format("{:.6g}{}", count / unit.nanoseconds, unit.name);
    return fmt::format("{}ns", duration.count());
}

void start_log(LogLevel least, LogFormat format)
{
    detail::least_logged = least;
    current_format = format;
    logger().set_formatter(formatter(format));
}

void detail::write_event(LogLevel level, std::string_view event,
                         std::span<const LogValue> keys_and_values)
{
    const LogFormat format = current_format;
    Line line;
    if (format == LogFormat::json)
        append(line, R"("event":)");
    append_text(line, event, format);
    for (std::size_t i = 0; i + 1 < keys_and_values.size(); i += 2)
        append_field(line, keys_and_values[i], keys_and_values[i + 1], format);
    logger().log(spdlog_level(level), spdlog::string_view_t{line.data(), line.size()});
}

} // namespace narrowlink::io

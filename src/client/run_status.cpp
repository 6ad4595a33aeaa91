#include "narrowlink/client/command_line.hpp"
#include "narrowlink/io/run_until_stopped.hpp"

#include <array>
#include <cstdio>
#include <map>
#include <unistd.h>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::client {
namespace {

namespace json = boost::json;

/// From one question to the next; with --watch a second, else as long as a glance may take.
constexpr std::chrono::milliseconds glance{500};
constexpr std::chrono::seconds watch_interval{1};

/// What a client has said of its bytes, and when by its own clock, in seconds.
struct Sample {
    double seconds = 0, sent = 0, received = 0;
};

using Samples = std::map<int, Sample>; ///< by process

double number(const json::object& report, std::string_view name)
{
    const json::value* value = report.if_contains(name);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::string text(const json::object& report, std::string_view name)
{
    const json::value* value = report.if_contains(name);
    return value != nullptr && value->is_string() ? std::string{value->as_string().c_str()} : "";
}

std::string milliseconds(const json::object& report, std::string_view name)
{
    const json::value* value = report.if_contains(name);
    return value != nullptr && value->is_number() ? fmt::format("{:.1f} ms", value->to_number<double>())
                                                  : "-";
}

std::string amount(double bytes)
{
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    for (; bytes >= 1'024 && unit + 1 < units.size(); ++unit)
        bytes /= 1'024;
    return fmt::format(fmt::runtime(unit == 0 ? "{:.0f} {}" : "{:.1f} {}"), bytes, units[unit]);
}

std::string duration(double seconds)
{
    if (seconds < 60)
        return fmt::format("{:.0f}s", seconds);
    if (seconds < 3'600)
        return fmt::format("{:.0f}m", seconds / 60);
    return fmt::format("{:.1f}h", seconds / 3'600);
}

std::vector<std::pair<int, json::object>> parse(const std::vector<ClientStatus>& statuses)
{
    std::vector<std::pair<int, json::object>> reports;
    for (const ClientStatus& status : statuses) {
        ErrorCode error;
        json::value value = json::parse(status.report, error);
        if (!error && value.is_object())
            reports.emplace_back(status.process, std::move(value.as_object()));
    }
    return reports;
}

/// Adds to each report how many bytes a second there were since the question before.
void add_rates(std::vector<std::pair<int, json::object>>& reports, Samples& before)
{
    Samples now;
    for (auto& [process, report] : reports) {
        const Sample sample{number(report, "seconds"), number(report, "bytes_sent"),
                            number(report, "bytes_received")};
        now.emplace(process, sample);
        const auto known = before.find(process);
        // With another connection to the agent the counters begin anew.
        if (known == before.end() || sample.seconds <= known->second.seconds ||
            sample.sent < known->second.sent || sample.received < known->second.received)
            continue;
        const double time = sample.seconds - known->second.seconds;
        report["sent_per_second"] = (sample.sent - known->second.sent) / time;
        report["received_per_second"] = (sample.received - known->second.received) / time;
    }
    before = std::move(now);
}

void print_json(std::vector<std::pair<int, json::object>> reports)
{
    json::array array;
    for (auto& [process, report] : reports) {
        report["process"] = process;
        array.emplace_back(std::move(report));
    }
    fmt::print("{}\n", json::serialize(array));
}

std::string percent(const json::object& report, std::string_view name)
{
    const json::value* value = report.if_contains(name);
    return value != nullptr && value->is_number()
               ? fmt::format("{:.1f} %", 100 * value->to_number<double>())
               : "-";
}

std::string rate(const json::object& report, std::string_view name)
{
    return report.contains(name) ? amount(number(report, name)) + "/s" : "-";
}

void print(const std::vector<std::pair<int, json::object>>& reports)
{
    constexpr auto line = "{:>8}  {:<8} {:<16} {:<16} {:>6} {:>10} {:>7} {:>6} {:>11} {:>11} {:>13} {:>13}\n";
    fmt::print(line, "PROCESS", "COMMAND", "AGENT", "PATH", "SINCE", "RTT", "LOSS", "MTU", "SENT",
               "RECEIVED", "SENDING", "RECEIVING");
    for (const auto& [process, report] : reports) {
        const bool has_path = report.contains("path_seconds");
        fmt::print(line, process, text(report, "command"), text(report, "agent"),
                   text(report, "path"), has_path ? duration(number(report, "path_seconds")) : "-",
                   milliseconds(report, "rtt_ms"), percent(report, "loss"),
                   has_path ? fmt::format("{:.0f}", number(report, "mtu")) : "-",
                   has_path ? amount(number(report, "bytes_sent")) : "-",
                   has_path ? amount(number(report, "bytes_received")) : "-",
                   rate(report, "sent_per_second"), rate(report, "received_per_second"));
        const auto detail = [](std::string_view title, const std::string& words) {
            if (!words.empty())
                fmt::print("{:>8}  {}{}\n", "", title, words);
        };
        detail("here: ", text(report, "nat"));
        detail("agent: ", text(report, "agent_nat"));
        if (const json::value* mapping = report.if_contains("port_mapping");
            mapping != nullptr && mapping->is_object())
            detail("port mapping: ",
                   fmt::format("{} {}, {}", text(mapping->get_object(), "protocol"),
                               text(mapping->get_object(), "external"),
                               duration(number(mapping->get_object(), "lifetime_seconds"))));
        detail("not direct: ", text(report, "not_direct"));
        detail("", text(report, "trouble"));
    }
}

net::awaitable<std::vector<std::pair<int, json::object>>> ask(const std::filesystem::path& state)
{
    auto asking = client::status(state);
    const std::vector<ClientStatus> statuses = co_await std::move(asking);
    co_return parse(statuses);
}

net::awaitable<void> show(StatusCommand command, std::filesystem::path state)
{
    Samples samples;
    net::steady_timer timer{co_await net::this_coro::executor};
    auto first = ask(state);
    auto reports = co_await std::move(first);
    add_rates(reports, samples);
    const bool clears = command.watch && !command.json && ::isatty(STDOUT_FILENO) != 0;
    do {
        if (!reports.empty() || command.watch) {
            timer.expires_after(command.watch ? watch_interval : glance);
            co_await timer.async_wait(net::use_awaitable);
            auto next = ask(state);
            reports = co_await std::move(next);
            add_rates(reports, samples);
        }
        if (clears)
            fmt::print("\x1b[H\x1b[J");
        if (command.json)
            print_json(reports);
        else if (reports.empty())
            fmt::print(stderr, "no client runs on this state directory\n");
        else
            print(reports);
        std::fflush(stdout);
    } while (command.watch);
}

} // namespace

void run_status(const StatusCommand& command, const std::filesystem::path& state)
{
    io::run_until_stopped(show(command, state));
}

} // namespace narrowlink::client

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

/// Bytes sent and received when a client was asked last.
using Counters = std::map<int, std::pair<double, double>>;

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

void print_json(std::vector<std::pair<int, json::object>> reports)
{
    json::array array;
    for (auto& [process, report] : reports) {
        report["process"] = process;
        array.emplace_back(std::move(report));
    }
    fmt::print("{}\n", json::serialize(array));
}

void print(const std::vector<std::pair<int, json::object>>& reports, Counters* before)
{
    if (reports.empty()) {
        fmt::print(stderr, "no client runs on this state directory\n");
        return;
    }
    const std::string_view unit = before != nullptr ? "/s" : "";
    fmt::print("{:>8}  {:<8} {:<16} {:<16} {:>6} {:>10} {:>6} {:>13} {:>13}\n", "PROCESS", "COMMAND",
               "AGENT", "PATH", "SINCE", "RTT", "MTU", fmt::format("SENT{}", unit),
               fmt::format("RECEIVED{}", unit));
    for (const auto& [process, report] : reports) {
        double sent = number(report, "bytes_sent");
        double received = number(report, "bytes_received");
        if (before != nullptr) {
            const auto [last_sent, last_received] =
                before->try_emplace(process, sent, received).first->second;
            before->insert_or_assign(process, std::pair{sent, received});
            sent -= last_sent;
            received -= last_received;
        }
        fmt::print("{:>8}  {:<8} {:<16} {:<16} {:>6} {:>10} {:>6.0f} {:>13} {:>13}\n", process,
                   text(report, "command"), text(report, "agent"), text(report, "path"),
                   duration(number(report, "path_seconds")), milliseconds(report, "rtt_ms"),
                   number(report, "mtu"), amount(sent), amount(received));
        if (const json::value* mapping = report.if_contains("port_mapping");
            mapping != nullptr && mapping->is_object())
            fmt::print("{:>8}  port mapping: {} {}, {}\n", "",
                       text(mapping->get_object(), "protocol"),
                       text(mapping->get_object(), "external"),
                       duration(number(mapping->get_object(), "lifetime_seconds")));
        for (const std::string_view why : {"not_direct", "trouble"})
            if (const std::string sentence = text(report, why); !sentence.empty())
                fmt::print("{:>8}  {}{}\n", "", why == "not_direct" ? "not direct: " : "", sentence);
    }
}

net::awaitable<void> show(StatusCommand command, std::filesystem::path state)
{
    Counters counters;
    net::steady_timer timer{co_await net::this_coro::executor};
    const bool clears = command.watch && !command.json && ::isatty(STDOUT_FILENO) != 0;
    do {
        auto asking = client::status(state);
        const std::vector<ClientStatus> statuses = co_await std::move(asking);
        auto reports = parse(statuses);
        if (clears)
            fmt::print("\x1b[H\x1b[J");
        if (command.json)
            print_json(std::move(reports));
        else
            print(reports, command.watch ? &counters : nullptr);
        std::fflush(stdout);
        if (command.watch) {
            timer.expires_after(std::chrono::seconds{1});
            co_await timer.async_wait(net::use_awaitable);
        }
    } while (command.watch);
}

} // namespace

void run_status(const StatusCommand& command, const std::filesystem::path& state)
{
    io::run_until_stopped(show(command, state));
}

} // namespace narrowlink::client

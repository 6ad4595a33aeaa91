#include "narrowlink/client/client.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/local_service.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace narrowlink::client {
namespace {

constexpr Duration answer_time = std::chrono::seconds{2};
constexpr std::string_view suffix = ".sock";

std::filesystem::path directory_of(const std::filesystem::path& state)
{
    return state / "run";
}

/// The process that a socket belongs to.
std::optional<int> process_of(const std::filesystem::path& file)
{
    const std::string name = file.filename().string();
    int process = 0;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data(), end, process);
    if (error != std::errc{} || std::string_view{stop, end} != suffix)
        return std::nullopt;
    return process;
}

} // namespace

std::filesystem::path status_socket(const std::filesystem::path& state, int process)
{
    return directory_of(state) / fmt::format("{}{}", process, suffix);
}

net::awaitable<std::vector<ClientStatus>> status(std::filesystem::path state)
{
    std::vector<std::filesystem::path> sockets;
    std::error_code error; // no directory: nothing runs
    for (std::filesystem::directory_iterator it{directory_of(state), error}, end; !error && it != end;
         it.increment(error))
        if (process_of(it->path()))
            sockets.push_back(it->path());
    std::vector<ClientStatus> statuses;
    for (const std::filesystem::path& socket : sockets) {
        auto asking = io::ask_local_service(socket, io::now() + answer_time);
        Result<std::string> report = co_await std::move(asking);
        if (report)
            statuses.push_back({*process_of(socket), std::move(*report)});
        else if (report.error() == boost::system::errc::connection_refused)
            std::filesystem::remove(socket, error); // its process was killed
        else
            statuses.push_back({*process_of(socket),
                                R"({"path":"unknown","trouble":"this process does not answer"})"});
    }
    std::ranges::sort(statuses, {}, &ClientStatus::process);
    co_return statuses;
}

} // namespace narrowlink::client

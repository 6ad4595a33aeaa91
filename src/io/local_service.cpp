#include "narrowlink/io/local_service.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

namespace narrowlink::io {
namespace {

using local = net::local::stream_protocol;

constexpr std::size_t most_report = 1'024 * 1'024;
constexpr Duration answer_time = std::chrono::seconds{2};

/// A directory, held open: names in it fit into the 108 bytes of a sockaddr_un wherever it is.
class Directory {
public:
    explicit Directory(const std::filesystem::path& path)
        : descriptor_{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)}
    {
    }

    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    ~Directory()
    {
        if (descriptor_ >= 0)
            ::close(descriptor_);
    }

    [[nodiscard]] std::string name(const std::filesystem::path& file) const
    {
        return fmt::format("/proc/self/fd/{}/{}", descriptor_, file.filename().string());
    }

private:
    int descriptor_;
};

net::awaitable<void> send_report(local::socket& socket, std::string text)
{
    co_await net::async_write(socket, net::buffer(text), net::use_awaitable);
}

net::awaitable<std::string> read_report(local::socket& socket, local::endpoint endpoint)
{
    co_await socket.async_connect(endpoint, net::use_awaitable);
    std::string text;
    std::array<char, 4'096> block{};
    for (;;) {
        ErrorCode error;
        const std::size_t n = co_await socket.async_read_some(
            net::buffer(block), net::redirect_error(net::use_awaitable, error));
        text.append(block.data(), n);
        if (error == net::error::eof)
            co_return text;
        if (error)
            throw boost::system::system_error{error};
        if (text.size() > most_report)
            throw boost::system::system_error{
                make_error_code(boost::system::errc::message_size)};
    }
}

} // namespace

struct LocalService::State {
    std::filesystem::path path;
    std::function<std::string()> report;
    local::acceptor acceptor;
};

LocalService::LocalService(const net::any_io_executor& executor, std::filesystem::path path,
                           std::function<std::string()> report)
    : state_{std::make_unique<State>(
          State{std::move(path), std::move(report), local::acceptor{executor}})}
{
    const Directory directory{state_->path.parent_path()};
    ::unlink(state_->path.c_str()); // of a process that had our number before
    local::acceptor& acceptor = state_->acceptor;
    acceptor.open();
    acceptor.bind(local::endpoint{directory.name(state_->path)});
    acceptor.listen();
}

LocalService::~LocalService()
{
    ::unlink(state_->path.c_str());
}

net::awaitable<void> LocalService::run()
{
    for (;;) {
        ErrorCode error;
        local::socket socket =
            co_await state_->acceptor.async_accept(net::redirect_error(net::use_awaitable, error));
        if (error == net::error::operation_aborted)
            throw boost::system::system_error{error};
        if (error)
            continue;
        try {
            auto writing = send_report(socket, state_->report());
            auto bounded = with_deadline(now() + answer_time, std::move(writing));
            co_await std::move(bounded);
        } catch (const boost::system::system_error& failure) {
            if (failure.code() == net::error::operation_aborted)
                throw;
        }
    }
}

net::awaitable<Result<std::string>> ask_local_service(std::filesystem::path path, Instant deadline)
{
    const Directory directory{path.parent_path()};
    local::socket socket{co_await net::this_coro::executor};
    try {
        auto reading = read_report(socket, local::endpoint{directory.name(path)});
        auto bounded = with_deadline(deadline, std::move(reading));
        std::string text = co_await std::move(bounded);
        co_return text;
    } catch (const boost::system::system_error& failure) {
        co_return failure.code();
    }
}

} // namespace narrowlink::io

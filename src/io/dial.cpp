#include "narrowlink/io/dial.hpp"

#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/resolve.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <algorithm>
#include <list>
#include <optional>
#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::io {
namespace {

namespace errc = boost::system::errc;

constexpr std::size_t most_addresses = 16;

/// RFC 8305 §4: keeps the order within each family and lets the families take turns.
std::vector<IpAddress> interleave(const std::vector<IpAddress>& addresses)
{
    std::vector<IpAddress> first, second, mixed;
    for (const IpAddress& address : addresses)
        (address.is_v4() == addresses.front().is_v4() ? first : second).push_back(address);
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size())
            mixed.push_back(first[i]);
        if (i < second.size())
            mixed.push_back(second[i]);
    }
    if (mixed.size() > most_addresses)
        mixed.resize(most_addresses);
    return mixed;
}

/// Which of several failures tells most about the target: the highest.
int rank(const ErrorCode& failure)
{
    if (failure == errc::connection_refused)
        return 3;
    if (failure == errc::timed_out)
        return 2;
    if (failure == errc::network_unreachable || failure == errc::host_unreachable)
        return 0;
    return 1;
}

/// One dial(): the attempts under way and what is known about each address.
class Race {
public:
    Race(const net::any_io_executor& executor, const std::vector<IpAddress>& addresses,
         std::uint16_t port, DialPace pace)
        : pace_{pace}, attempts_{executor, nullptr}, changed_{executor}, executor_{executor}
    {
        for (const IpAddress& address : interleave(addresses)) {
            const SocketAddress target{address, port};
            runners_.push_back({.endpoint = to_tcp_endpoint(target)});
        }
    }

    /// Leaves no attempt behind, on whichever way out.
    net::awaitable<tcp::socket> run(Instant deadline)
    {
        auto race = wait_for_winner(deadline);
        co_await attempts_.run(std::move(race));
        co_return std::move(*winner_);
    }

private:
    struct Runner {
        tcp::endpoint endpoint;
        std::optional<Instant> next_attempt_at{}; ///< empty before its first
        std::optional<ErrorCode> verdict{};       ///< it answered, and not with a connection
        std::list<tcp::socket> sockets{};         ///< oldest first
    };

    net::awaitable<void> wait_for_winner(Instant deadline)
    {
        next_start_at_ = now();
        for (;;) {
            if (winner_)
                co_return;
            const Instant now = io::now();
            if (now >= deadline || all_have_failed())
                throw boost::system::system_error{failure()};
            start_what_is_due(now);
            co_await changed_.wait_until(std::min(next_attempt_at(), deadline));
        }
    }

    void start_what_is_due(Instant now)
    {
        for (Runner& runner : runners_) {
            if (runner.verdict)
                continue;
            if (!runner.next_attempt_at) {
                if (next_start_at_ > now)
                    break; // nor is any behind it due
                next_start_at_ = now + pace_.attempt_delay;
            } else if (*runner.next_attempt_at > now) {
                continue;
            }
            runner.next_attempt_at = now + pace_.fresh_attempt_after;
            start_attempt(runner);
        }
    }

    void start_attempt(Runner& runner)
    {
        if (runner.sockets.size() >= pace_.most_in_flight) {
            ErrorCode ignored;
            runner.sockets.front().close(ignored); // ends its attempt, which removes it
        }
        const auto socket = runner.sockets.emplace(runner.sockets.end(), executor_);
        attempts_.spawn(attempt(runner, socket));
    }

    net::awaitable<void> attempt(Runner& runner, std::list<tcp::socket>::iterator socket)
    {
        ErrorCode failure;
        co_await socket->async_connect(runner.endpoint,
                                       net::redirect_error(net::use_awaitable, failure));
        if (!failure && !winner_) {
            socket->set_option(tcp::no_delay{true}, failure);
            winner_ = std::move(*socket);
        } else if (failure && failure != net::error::operation_aborted && !runner.verdict) {
            runner.verdict = failure;
            next_start_at_ = io::now();
        }
        runner.sockets.erase(socket);
        changed_.set();
    }

    [[nodiscard]] Instant next_attempt_at() const
    {
        Instant next = never;
        for (const Runner& runner : runners_)
            if (!runner.verdict)
                next = std::min(next, runner.next_attempt_at.value_or(next_start_at_));
        return next;
    }

    [[nodiscard]] bool all_have_failed() const
    {
        return std::ranges::all_of(runners_, [](const Runner& r) { return r.verdict.has_value(); });
    }

    [[nodiscard]] ErrorCode failure() const
    {
        const ErrorCode silent = make_error_code(errc::timed_out);
        ErrorCode most_telling = make_error_code(errc::network_unreachable);
        for (const Runner& runner : runners_) {
            const ErrorCode verdict = runner.verdict.value_or(silent);
            if (&runner == &runners_.front() || rank(verdict) > rank(most_telling))
                most_telling = verdict;
        }
        return most_telling;
    }

    const DialPace pace_;
    std::vector<Runner> runners_; ///< never resized while attempts run
    TaskScope attempts_;
    Event changed_;
    net::any_io_executor executor_;
    Instant next_start_at_{};
    std::optional<tcp::socket> winner_;
};

} // namespace

net::awaitable<tcp::socket> dial(std::vector<IpAddress> addresses, std::uint16_t port,
                                 Instant deadline, DialPace pace)
{
    if (addresses.empty())
        throw boost::system::system_error{make_error_code(ResolveError::no_such_name)};
    Race race{co_await net::this_coro::executor, addresses, port, pace};
    co_return co_await race.run(deadline);
}

net::awaitable<tcp::socket> dial(const HostPort& target, Instant deadline)
{
    auto addresses = co_await resolve(target.host, deadline);
    auto dialling = dial(std::move(addresses), target.port, deadline);
    co_return co_await std::move(dialling);
}

net::awaitable<udp::socket> dial_udp(std::vector<IpAddress> addresses, std::uint16_t port)
{
    udp::socket socket{co_await net::this_coro::executor};
    ErrorCode failure = ResolveError::no_such_name;
    for (const IpAddress& address : addresses) {
        const SocketAddress target{address, port};
        ErrorCode ignored;
        socket.close(ignored);
        socket.connect(to_udp_endpoint(target), failure);
        if (!failure)
            co_return socket;
    }
    throw boost::system::system_error{failure};
}

net::awaitable<udp::socket> dial_udp(const HostPort& target, Instant deadline)
{
    auto addresses = co_await resolve(target.host, deadline);
    auto dialling = dial_udp(std::move(addresses), target.port);
    co_return co_await std::move(dialling);
}

} // namespace narrowlink::io

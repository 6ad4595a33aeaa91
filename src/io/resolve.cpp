#include "narrowlink/io/resolve.hpp"

#include "lookup_threads.hpp"
#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/system_error.hpp>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

constexpr Duration ask_again_after_default = std::chrono::seconds{1};
constexpr std::size_t most_lookups = 4; // of one question at a time
constexpr std::size_t longest_name = 253;

class ResolveErrorCategory final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "narrowlink.resolve"; }

    std::string message(int value) const override
    {
        switch (static_cast<ResolveError>(value)) {
        case ResolveError::no_such_name: return "the name does not exist or has no address";
        case ResolveError::failed: return "the name cannot be looked up now";
        case ResolveError::timed_out: return "the lookup of the name timed out";
        }
        return "unknown resolve error";
    }
};

constinit const ResolveErrorCategory category;

ErrorCode meaning_of(int getaddrinfo_error)
{
    switch (getaddrinfo_error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY: return ResolveError::no_such_name;
    default: return ResolveError::failed;
    }
}

Result<std::vector<IpAddress>> ask_the_system(const std::string& host)
{
    // No AI_ADDRCONFIG: it ignores loopback, so that `localhost` fails on a machine that has only
    // that. An address of a family that we cannot reach costs dial() nothing.
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM; // else each address comes three times
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0)
        return meaning_of(error);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};

    std::vector<IpAddress> addresses;
    for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
        tcp::endpoint endpoint;
        if (entry->ai_addrlen > endpoint.capacity())
            continue;
        std::copy_n(reinterpret_cast<const std::byte*>(entry->ai_addr), entry->ai_addrlen,
                    reinterpret_cast<std::byte*>(endpoint.data()));
        if (endpoint.address().is_v6() && endpoint.address().to_v6().is_link_local())
            continue; // means nothing without its zone
        const IpAddress address = from_asio(endpoint.address());
        if (std::ranges::find(addresses, address) == addresses.end())
            addresses.push_back(address);
    }
    if (addresses.empty())
        return ResolveError::no_such_name;
    return addresses;
}

net::awaitable<void> wait_readable(net::posix::stream_descriptor& descriptor)
{
    co_await descriptor.async_wait(net::posix::stream_descriptor::wait_read, net::use_awaitable);
}

/// False when `until` came first.
net::awaitable<bool> is_answered(net::posix::stream_descriptor& descriptor, Instant until)
{
    try {
        co_await with_deadline(until, wait_readable(descriptor));
    } catch (const boost::system::system_error& error) {
        if (error.code() != boost::system::errc::timed_out)
            throw;
        co_return false;
    }
    co_return true;
}

struct Abandon {
    Question& question;

    explicit Abandon(Question& q) : question{q} {}

    Abandon(const Abandon&) = delete;
    Abandon& operator=(const Abandon&) = delete;

    ~Abandon() { question.abandon(); }
};

} // namespace

ErrorCode make_error_code(ResolveError error) noexcept
{
    return {static_cast<int>(error), category};
}

net::awaitable<std::vector<IpAddress>> resolve(const std::string& host, Instant deadline)
{
    Lookup lookup{ask_the_system};
    auto answer = resolve_with(std::move(lookup), host, deadline, ask_again_after_default);
    co_return co_await std::move(answer);
}

net::awaitable<std::vector<IpAddress>> resolve_with(Lookup lookup, const std::string& host,
                                                    Instant deadline, Duration ask_again_after)
{
    if (const auto literal = IpAddress::parse(host))
        co_return std::vector{*literal};
    if (host.empty() || host.size() > longest_name || host.find('\0') != std::string::npos)
        throw boost::system::system_error{make_error_code(ResolveError::no_such_name)};

    const auto question = std::make_shared<Question>(std::move(lookup), host);
    const Abandon abandon{*question};
    // A descriptor of its own: the loop closes its copy, the threads keep theirs.
    net::posix::stream_descriptor answered{co_await net::this_coro::executor,
                                           ::dup(question->descriptor())};
    auto& threads = LookupThreads::of_this_process();
    for (;;) {
        const std::size_t under_way = question->lookups_under_way();
        if (under_way == 0 || (under_way < most_lookups && !threads.is_busy()))
            threads.ask(question);
        const Instant now = io::now();
        const Instant ask_again_at =
            deadline - now > ask_again_after ? now + ask_again_after : deadline;
        if (co_await is_answered(answered, ask_again_at))
            break;
        if (io::now() >= deadline)
            throw boost::system::system_error{make_error_code(ResolveError::timed_out)};
    }
    auto answer = question->answer();
    co_return std::move(answer->value());
}

} // namespace narrowlink::io

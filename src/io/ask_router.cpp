#include "narrowlink/io/ask_router.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"
#include "router_question.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace narrowlink::io {
namespace {

int make_event()
{
    const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0)
        throw boost::system::system_error{errno, boost::system::system_category()};
    return descriptor;
}

void signal_event(int descriptor)
{
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(descriptor, &one, sizeof one);
}

std::optional<RouterAnswer> ask(const RouterRequest& request, int abandoned)
{
    switch (request.protocol) {
    case PortMappingProtocol::nat_pmp: return ask_nat_pmp(request, abandoned);
    case PortMappingProtocol::pcp: return ask_pcp(request, abandoned);
    case PortMappingProtocol::upnp: return ask_upnp(request, abandoned);
    }
    return std::nullopt;
}

net::awaitable<void> wait_for(net::posix::stream_descriptor& descriptor)
{
    co_await descriptor.async_wait(net::posix::stream_descriptor::wait_read, net::use_awaitable);
}

struct Abandon {
    RouterQuestion& question;

    explicit Abandon(RouterQuestion& q) : question{q} {}

    Abandon(const Abandon&) = delete;
    Abandon& operator=(const Abandon&) = delete;

    ~Abandon() { question.abandon(); }
};

} // namespace

RouterQuestion::RouterQuestion(const RouterRequest& request)
    : request_{request}, answered_fd_{make_event()}, abandoned_fd_{make_event()}
{
}

RouterQuestion::~RouterQuestion()
{
    ::close(answered_fd_);
    ::close(abandoned_fd_);
}

void RouterQuestion::answer_it()
{
    auto answer = ask(request_, abandoned_fd_);
    {
        const std::scoped_lock lock{mutex_};
        if (!is_abandoned_) {
            answer_ = std::move(answer);
            signal_event(answered_fd_);
            return;
        }
    }
    if (answer && answer->external != 0 && !request_.ends_mapping()) {
        RouterRequest end = request_;
        end.external = answer->external;
        end.lifetime = {};
        constexpr int nobody = -1; // poll(2) ignores it
        (void)ask(end, nobody);
    }
}

std::optional<RouterAnswer> RouterQuestion::answer()
{
    const std::scoped_lock lock{mutex_};
    return answer_;
}

void RouterQuestion::abandon()
{
    const std::scoped_lock lock{mutex_};
    is_abandoned_ = true;
    signal_event(abandoned_fd_);
}

RouterSocket::RouterSocket(const IpAddress& router, std::uint16_t port)
    : descriptor_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}
{
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    std::memcpy(&to.sin_addr, router.bytes().data(), sizeof to.sin_addr);
    is_connected_ = descriptor_ >= 0 &&
                    ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

RouterSocket::~RouterSocket()
{
    if (descriptor_ >= 0)
        ::close(descriptor_);
}

std::optional<IpAddress> RouterSocket::own_address() const
{
    sockaddr_in own{};
    socklen_t size = sizeof own;
    if (!is_connected_ || ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&own), &size) != 0)
        return std::nullopt;
    std::array<std::byte, 4> bytes{};
    std::memcpy(bytes.data(), &own.sin_addr, bytes.size());
    return IpAddress::v4(bytes);
}

bool wait_readable(int descriptor, int abandoned, Instant deadline)
{
    for (;;) {
        std::array<pollfd, 2> polled{{{.fd = descriptor, .events = POLLIN, .revents = 0},
                                      {.fd = abandoned, .events = POLLIN, .revents = 0}}};
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - io::now()).count();
        const int ready =
            ::poll(polled.data(), polled.size(), left > 0 ? static_cast<int>(left) : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        return ready > 0 && polled[1].revents == 0;
    }
}

net::awaitable<std::optional<RouterAnswer>> ask_router(RouterRequest request, Instant deadline)
{
    net::posix::stream_descriptor answered{co_await net::this_coro::executor};
    std::shared_ptr<RouterQuestion> question;
    try {
        question = std::make_shared<RouterQuestion>(request);
        answered.assign(::dup(question->answered()));
        std::thread{[question] { question->answer_it(); }}.detach();
    } catch (const std::exception&) {
        co_return std::nullopt; // no descriptor or no thread to be had
    }
    const Abandon abandon{*question};
    try {
        auto waiting = wait_for(answered);
        auto bounded = with_deadline(deadline, std::move(waiting));
        co_await std::move(bounded);
    } catch (const boost::system::system_error& error) {
        if (error.code() != boost::system::errc::timed_out)
            throw;
    }
    co_return question->answer();
}

} // namespace narrowlink::io

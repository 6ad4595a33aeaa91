#include "shared_descriptor.hpp"

#include <cerrno>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

[[noreturn]] void throw_last_error()
{
    throw boost::system::system_error{errno, boost::system::system_category()};
}

/// epoll refuses what is always ready, above all regular files, with EPERM.
bool can_be_waited_for(int descriptor)
{
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        throw_last_error();
    epoll_event event{};
    const bool accepted = ::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
    ::close(epoll);
    return accepted;
}

bool is_socket(int descriptor)
{
    struct stat found {};

    return ::fstat(descriptor, &found) == 0 && S_ISSOCK(found.st_mode);
}

/// The same pipe or terminal with flags of its own; negative when it cannot be opened again.
int open_once_more(int descriptor, SharedDescriptor::Direction direction)
{
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    const int access = direction == SharedDescriptor::Direction::read ? O_RDONLY : O_WRONLY;
    return ::open(path.c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

} // namespace

SharedDescriptor::SharedDescriptor(const net::any_io_executor& executor, int descriptor,
                                   Direction direction)
    : executor_{executor}, number_{descriptor}, is_socket_{is_socket(descriptor)}
{
    if (!can_be_waited_for(descriptor))
        return;
    int own = is_socket_ ? -1 : open_once_more(descriptor, direction);
    if (own < 0) {
        flags_to_restore_ = ::fcntl(descriptor, F_GETFL);
        own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (own < 0)
            throw_last_error();
    }
    waitable_.emplace(executor, own);
}

SharedDescriptor::~SharedDescriptor()
{
    waitable_.reset();
    put_flags_back();
}

void SharedDescriptor::put_flags_back()
{
    if (const auto flags = std::exchange(flags_to_restore_, std::nullopt); flags && *flags >= 0)
        ::fcntl(number_, F_SETFL, *flags);
}

net::awaitable<std::size_t> SharedDescriptor::read_some(MutableBytes block)
{
    if (waitable_) {
        ErrorCode failure;
        const std::size_t n =
            co_await waitable_->async_read_some(net::buffer(block.data(), block.size()),
                                                net::redirect_error(net::use_awaitable, failure));
        if (failure && failure != net::error::eof)
            throw boost::system::system_error{failure};
        co_return n;
    }
    co_await net::post(executor_, net::use_awaitable); // a large file must not keep others waiting
    for (;;) {
        const ssize_t n = ::read(number_, block.data(), block.size());
        if (n >= 0)
            co_return static_cast<std::size_t>(n);
        if (errno == EBADF)
            co_return 0; // started with stdin closed
        if (errno != EINTR)
            throw_last_error();
    }
}

net::awaitable<void> SharedDescriptor::write(Bytes block)
{
    if (waitable_) {
        co_await net::async_write(*waitable_, net::buffer(block.data(), block.size()),
                                  net::use_awaitable);
        co_return;
    }
    co_await net::post(executor_, net::use_awaitable);
    while (!block.empty()) {
        const ssize_t n = ::write(number_, block.data(), block.size());
        if (n < 0 && errno != EINTR)
            throw_last_error();
        if (n > 0)
            block = block.subspan(static_cast<std::size_t>(n));
    }
}

void SharedDescriptor::close()
{
    if (is_socket_) // closing is not enough: who started us may hold the same one
        ::shutdown(number_, SHUT_WR);
    waitable_.reset();
    put_flags_back();
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        throw_last_error();
    ::dup2(null, number_);
    ::close(null);
}

} // namespace narrowlink::io

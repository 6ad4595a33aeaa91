#include "narrowlink/io/notify.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <boost/system/system_category.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

ErrorCode last_error()
{
    return {errno, boost::system::system_category()};
}

Result<> notify(std::string_view message)
{
    const char* variable = std::getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe)
    if (!variable || *variable == '\0')
        return {};
    const std::string_view name{variable};
    sockaddr_un address{};
    if ((name[0] != '/' && name[0] != '@') || name.size() >= sizeof address.sun_path)
        return make_error_code(boost::system::errc::invalid_argument);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@')
        address.sun_path[0] = '\0'; // abstract: the length below says where the name ends, unix(7)
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());

    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return last_error();
    const ssize_t sent = ::sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&address), length);
    const ErrorCode failure = sent < 0 ? last_error() : ErrorCode{};
    ::close(descriptor);
    if (failure)
        return failure;
    return {};
}

} // namespace

Result<> notify_ready()
{
    return notify("READY=1");
}

Result<> notify_stopping()
{
    return notify("STOPPING=1");
}

Result<> notify_status(std::string_view text)
{
    std::string message{"STATUS="};
    message += text.substr(0, text.find('\n'));
    return notify(message);
}

} // namespace narrowlink::io

#include "narrowlink/drive/notice.hpp"

#include "narrowlink/io/with_deadline.hpp"

#include <boost/system/system_error.hpp>

namespace narrowlink::drive {

net::awaitable<void> Notice::wait_until(Instant deadline)
{
    auto waiting = wait();
    auto bounded = io::with_deadline(deadline, std::move(waiting));
    co_await std::move(bounded);
}

net::awaitable<void> Notice::wait()
{
    const unsigned before = generation_;
    while (generation_ == before) {
        ErrorCode cancelled;
        co_await timer_.async_wait(net::redirect_error(net::use_awaitable, cancelled));
        if (generation_ == before && cancelled)
            throw boost::system::system_error{cancelled};
    }
}

void Notice::tell()
{
    ++generation_;
    timer_.cancel();
}

} // namespace narrowlink::drive

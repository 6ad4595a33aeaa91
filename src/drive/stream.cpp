#include "narrowlink/drive/stream.hpp"

#include <boost/system/system_error.hpp>

namespace narrowlink::drive {

Stream::Stream(PairDriver& driver, quic::StreamId id)
    : driver_{&driver}
    , id_{id}
    , readable_{driver.executor_}
    , writable_{driver.executor_}
    , failed_{driver.is_closed()}
{
    driver_->streams_.emplace(static_cast<std::int64_t>(id), this);
}

Stream::~Stream()
{
    driver_->streams_.erase(static_cast<std::int64_t>(id_));
    connection().release(id_);
    driver_->settle();
}

void Stream::fail(std::optional<std::uint64_t> code)
{
    failed_ = true;
    reset_code_ = code;
    readable_.set();
    writable_.set();
}

net::awaitable<quic::Response> Stream::response()
{
    while (!response_) {
        if (failed_)
            throw boost::system::system_error{net::error::connection_reset};
        co_await readable_.wait();
    }
    readable_.set(); // bytes may have come with it
    co_return *response_;
}

void Stream::respond(const quic::Response& response)
{
    connection().respond(id_, response);
    driver_->settle();
}

net::awaitable<void> Stream::wait_readable()
{
    if (!failed_)
        co_await readable_.wait();
}

net::awaitable<void> Stream::wait_writable()
{
    if (!failed_)
        co_await writable_.wait();
}

void Stream::send_committed(std::size_t n)
{
    connection().send_committed(id_, n);
    driver_->settle();
}

void Stream::shutdown_send()
{
    connection().shutdown_send(id_);
    driver_->settle();
}

void Stream::consume(std::size_t n)
{
    connection().consume(id_, n);
    driver_->settle();
}

bool Stream::send_datagram(Bytes payload)
{
    const bool sent = connection().send_datagram(id_, payload);
    driver_->settle();
    return sent;
}

void Stream::reset(std::uint64_t code)
{
    connection().reset(id_, code);
    driver_->settle();
}

} // namespace narrowlink::drive

#include "narrowlink/quic/connection.hpp"

#include "connection_impl.hpp"

namespace narrowlink::quic {

Connection::Connection(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::client(const Config& config, Peer peer, Instant now, Random& random)
{
    auto impl = std::make_unique<Impl>(false, config, std::move(peer), now, random);
    if (auto started = impl->start_client(now); !started)
        return started.error();
    return Connection{std::move(impl)};
}

Connection Connection::server(const Config& config, Peer peer, Instant now, Random& random)
{
    return Connection{std::make_unique<Impl>(true, config, std::move(peer), now, random)};
}

void Connection::handle_packets(Instant now, PathId path, Bytes train, std::size_t segment_size,
                                std::uint8_t ecn)
{
    impl_->handle_packets(now, path, train, segment_size, ecn);
}

void Connection::handle_timeout(Instant now)
{
    impl_->handle_timeout(now);
}

void Connection::handle_path_restored(Instant now)
{
    impl_->handle_path_restored(now);
}

void Connection::rebind(Instant now, PathId path)
{
    impl_->rebind(now, path);
}

void Connection::set_limits(PathId path, PathLimits limits)
{
    impl_->set_limits(path, limits);
}

Connection::Transmit Connection::poll_transmit(Instant now, MutableBytes block)
{
    return impl_->poll_transmit(now, block);
}

Connection::Transmit Connection::poll_control(Instant now, MutableBytes block)
{
    return impl_->poll_control(now, block);
}

Result<> Connection::migrate(Instant now, PathId path, Migration how)
{
    return impl_->migrate(now, path, how);
}

PathId Connection::current_path() const
{
    return impl_->current_path();
}

void Connection::set_keep_alive(Duration interval)
{
    impl_->set_keep_alive(interval);
}

std::optional<Event> Connection::poll_event()
{
    return impl_->poll_event();
}

Instant Connection::deadline() const
{
    return impl_->deadline();
}

bool Connection::is_connected() const
{
    return impl_->is_connected();
}

bool Connection::is_closed() const
{
    return impl_->is_closed();
}

Instant Connection::last_acknowledged() const
{
    return impl_->last_acknowledged();
}

Instant Connection::last_authentic() const
{
    return impl_->last_authentic();
}

Connection::Statistics Connection::statistics() const
{
    return impl_->statistics();
}

Result<StreamId> Connection::open(const Request& request)
{
    Http3* http3 = impl_->http3();
    if (http3 == nullptr)
        return make_error_code(Error::not_connected);
    return http3->open(request);
}

Result<> Connection::ping()
{
    Http3* http3 = impl_->http3();
    if (http3 == nullptr)
        return make_error_code(Error::not_connected);
    return http3->ping();
}

bool Connection::ping_waits() const
{
    const Http3* http3 = impl_->http3();
    return http3 != nullptr && http3->ping_waits();
}

void Connection::respond(StreamId id, const Response& response)
{
    if (Http3* http3 = impl_->http3())
        http3->respond(id, response);
}

std::size_t Connection::send_space(StreamId id)
{
    Http3* http3 = impl_->http3();
    return http3 == nullptr ? 0 : http3->send_space(id);
}

MutableBytes Connection::send_block(StreamId id)
{
    Http3* http3 = impl_->http3();
    return http3 == nullptr ? MutableBytes{} : http3->send_block(id);
}

void Connection::send_committed(StreamId id, std::size_t n)
{
    if (Http3* http3 = impl_->http3())
        http3->send_committed(id, n);
}

void Connection::shutdown_send(StreamId id)
{
    if (Http3* http3 = impl_->http3())
        http3->shutdown_send(id);
}

std::size_t Connection::received(StreamId id, std::span<Bytes> spans)
{
    Http3* http3 = impl_->http3();
    return http3 == nullptr ? 0 : http3->received(id, spans);
}

void Connection::consume(StreamId id, std::size_t n)
{
    if (Http3* http3 = impl_->http3())
        http3->consume(id, n);
}

bool Connection::receive_ended(StreamId id) const
{
    const Http3* http3 = impl_->http3();
    return http3 == nullptr || http3->receive_ended(id);
}

bool Connection::send_datagram(StreamId id, Bytes payload)
{
    return impl_->http3() != nullptr && impl_->send_datagram(id, payload);
}

std::optional<std::vector<std::byte>> Connection::receive_datagram(StreamId id)
{
    Http3* http3 = impl_->http3();
    return http3 == nullptr ? std::nullopt : http3->receive_datagram(id);
}

void Connection::reset(StreamId id, std::uint64_t code)
{
    if (Http3* http3 = impl_->http3())
        http3->reset(id, code);
}

void Connection::release(StreamId id)
{
    if (Http3* http3 = impl_->http3())
        http3->release(id);
}

void Connection::close(Instant now, std::uint64_t code)
{
    impl_->close(now, code);
}

} // namespace narrowlink::quic

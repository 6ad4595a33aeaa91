#include "pair_driver.hpp"

#include <utility>

namespace narrowlink::sim {
namespace {

constexpr Duration shortest_timer = milliseconds{1};

} // namespace

PairDriver::PairDriver(World& world, path::Pair pair, Owner& owner,
                       WakeCarriers wake_carriers)
    : world_{&world}
    , pair_{std::move(pair)}
    , owner_{&owner}
    , wake_carriers_{std::move(wake_carriers)}
    , timer_{world, [this] { handle_timeout(); }}
{
    timer_.expires_at(pair_.deadline());
}

void PairDriver::settle()
{
    drain_events();
    wake_carriers_(pair_.current());
}

void PairDriver::drain_events()
{
    if (telling_)
        return;
    telling_ = true;
    while (const auto event = pair_.poll_event())
        tell(*event);
    telling_ = false;
    if (pair_.take_wake())
        wake_carriers_(std::nullopt);
    timer_.expires_at(closed_ ? never : std::max(pair_.deadline(), quiet_until_));
}

void PairDriver::tell(const path::Event& event)
{
    if (const auto* other = std::get_if<quic::Event>(&event))
        tell(*other);
    else if (const auto* change = std::get_if<path::PathChanged>(&event))
        owner_->handle_path_changed(*change);
    else if (std::holds_alternative<path::PathQuiet>(event))
        owner_->handle_path_quiet();
}

void PairDriver::tell(const quic::Event& event)
{
    const auto find = [this](quic::StreamId id) -> StreamEnd* {
        const auto it = streams_.find(id);
        return it == streams_.end() ? nullptr : it->second;
    };
    if (const auto* readable = std::get_if<quic::Readable>(&event)) {
        if (StreamEnd* end = find(readable->stream))
            end->handle_change();
    } else if (const auto* writable = std::get_if<quic::Writable>(&event)) {
        if (StreamEnd* end = find(writable->stream))
            end->handle_change();
    } else if (const auto* response = std::get_if<quic::ResponseReceived>(&event)) {
        if (StreamEnd* end = find(response->stream))
            end->handle_response(response->response);
    } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
        if (StreamEnd* end = find(reset->stream))
            end->handle_failure(reset->code);
    } else if (const auto* request = std::get_if<quic::RequestReceived>(&event)) {
        owner_->handle_request(request->stream, request->request);
    } else if (std::holds_alternative<quic::StreamsAvailable>(event)) {
        owner_->handle_streams_available();
    } else if (std::holds_alternative<quic::Connected>(event)) {
        owner_->handle_connected();
    } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
        closed_ = true;
        for (const auto& [id, end] : streams_)
            end->handle_failure(std::nullopt);
        owner_->handle_closed(*closed);
    }
}

void PairDriver::handle_timeout()
{
    if (closed_)
        return;
    quiet_until_ = world_->now() + shortest_timer;
    pair_.handle_timeout(world_->now());
    settle();
}

} // namespace narrowlink::sim

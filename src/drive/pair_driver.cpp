#include "narrowlink/drive/pair_driver.hpp"

#include "narrowlink/drive/stream.hpp"
#include "narrowlink/io/clock.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::drive {
namespace {

constexpr Duration shortest_timer = std::chrono::milliseconds{1};

} // namespace

PairDriver::PairDriver(net::any_io_executor executor, path::Pair pair, Owner& owner,
                       WakeCarriers wake_carriers)
    : executor_{executor}
    , pair_{std::move(pair)}
    , owner_{&owner}
    , wake_carriers_{std::move(wake_carriers)}
    , timer_changed_{executor}
{
}

void PairDriver::settle()
{
    drain_events();
    wake_carriers_(pair_.current());
}

void PairDriver::drain_events()
{
    if (telling_)
        return; // the outer call goes on until nothing is left
    telling_ = true;
    while (const auto event = pair_.poll_event())
        tell(*event);
    telling_ = false;
    if (pair_.take_wake())
        wake_carriers_(std::nullopt);
    if (std::max(pair_.deadline(), quiet_until_) < armed_until_ || closed_)
        timer_changed_.set();
}

void PairDriver::tell(const path::Event& event)
{
    if (const auto* change = std::get_if<path::PathChanged>(&event))
        owner_->handle_path_changed(*change);
    else if (const auto* measured = std::get_if<path::PathMeasured>(&event))
        owner_->handle_path_measured(*measured);
    else if (std::holds_alternative<path::PathQuiet>(event))
        owner_->handle_path_quiet();
    else
        tell(std::get<quic::Event>(event));
}

void PairDriver::tell(const quic::Event& event)
{
    const auto find = [this](quic::StreamId id) -> Stream* {
        const auto it = streams_.find(static_cast<std::int64_t>(id));
        return it == streams_.end() ? nullptr : it->second;
    };
    if (const auto* readable = std::get_if<quic::Readable>(&event)) {
        if (Stream* stream = find(readable->stream))
            stream->readable_.set();
    } else if (const auto* writable = std::get_if<quic::Writable>(&event)) {
        if (Stream* stream = find(writable->stream))
            stream->writable_.set();
    } else if (const auto* response = std::get_if<quic::ResponseReceived>(&event)) {
        if (Stream* stream = find(response->stream)) {
            stream->response_ = response->response;
            stream->readable_.set();
        }
    } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
        if (Stream* stream = find(reset->stream))
            stream->fail(reset->code);
    } else if (const auto* request = std::get_if<quic::RequestReceived>(&event)) {
        owner_->handle_request(request->stream, request->request);
    } else if (std::holds_alternative<quic::StreamsAvailable>(event)) {
        owner_->handle_streams_available();
    } else if (std::holds_alternative<quic::Connected>(event)) {
        owner_->handle_connected();
    } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
        closed_ = true;
        for (const auto& [id, stream] : streams_)
            stream->fail(std::nullopt);
        owner_->handle_closed(*closed);
    }
}

net::awaitable<void> PairDriver::run()
{
    while (!closed_) {
        armed_until_ = std::max(pair_.deadline(), quiet_until_);
        const bool told = co_await timer_changed_.wait_until(armed_until_);
        if (told)
            continue;
        const Instant now = io::now();
        quiet_until_ = now + shortest_timer;
        armed_until_ = never;
        pair_.handle_timeout(now);
        settle();
    }
}

} // namespace narrowlink::drive

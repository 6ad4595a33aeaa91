// Theory of operation
//
// Goals: many requests share one connection fairly; a stalled request costs its own window only;
// no byte is copied on the way out, one copy is made on the way in.
//
// Sending. A stream's bytes stay in its ByteQueue until the peer has acknowledged them, because
// ngtcp2 refers to them for retransmission. nghttp3 asks provide() for spans. By itself it would
// let the stream with the lowest id send for as long as it has bytes, so each stream has a quota
// per round: with its quota used up a stream answers "would block", and when no stream has
// anything left next_round() gives all of them a new quota.
//
// Receiving. Stream credit (MAX_STREAM_DATA) is given when the owner consumes bytes. Connection
// credit (MAX_DATA) is given at once while all queues together hold less than `receive_buffer`, so
// that a stalled stream cannot stop the others; above that it is withheld until bytes are consumed.
//
// Life of a stream's record: from open() or the request's headers until QUIC has closed the stream
// and the owner has released it. Only then may the peer open another in its place, so the number
// of records is bounded by `streams`.
//
// Limits: header fields 4 KiB; received UDP payloads 1,024 or 1 MiB per stream.

#include "http3.hpp"

#include "narrowlink/wire/udp_target.hpp"
#include "narrowlink/wire/varint.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace narrowlink::quic {
namespace {

constexpr std::size_t round_quota = 65'536;
constexpr std::size_t largest_fields = 4'096;

Http3* self_of(void* user)
{
    return static_cast<Http3*>(user);
}

nghttp3_nv field(std::string_view name, std::string_view value)
{
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP3_NV_FLAG_NONE};
}

std::string_view text_of(nghttp3_rcbuf* buffer)
{
    const nghttp3_vec vec = nghttp3_rcbuf_get_buf(buffer);
    return {reinterpret_cast<const char*>(vec.base), vec.len};
}

std::string* field_named(Fields& fields, std::string_view name)
{
    if (name == ":method")
        return &fields.method;
    if (name == ":protocol")
        return &fields.protocol;
    if (name == ":scheme")
        return &fields.scheme;
    if (name == ":authority")
        return &fields.authority;
    if (name == ":path")
        return &fields.path;
    if (name == ":status")
        return &fields.status;
    if (name == "proxy-status")
        return &fields.proxy_status;
    return nullptr;
}

std::optional<Request> request_of(const Fields& fields)
{
    if (fields.method != "CONNECT")
        return std::nullopt;
    if (fields.protocol.empty()) {
        auto target = HostPort::parse(fields.authority);
        if (!target)
            return std::nullopt;
        return Request{Request::Kind::tcp, std::move(*target)};
    }
    if (fields.protocol != "connect-udp")
        return std::nullopt;
    auto target = wire::parse_udp_path(fields.path);
    if (!target)
        return std::nullopt;
    return Request{Request::Kind::udp, std::move(*target)};
}

std::int64_t number(StreamId id)
{
    return static_cast<std::int64_t>(id);
}

} // namespace

Http3::Http3(bool server, const Connection::Config& config, ngtcp2_conn* quic,
             std::deque<Event>& events)
    : server_{server}
    , config_{config}
    , quic_{quic}
    , events_{&events}
{
}

Http3::~Http3()
{
    if (h3_ != nullptr)
        nghttp3_conn_del(h3_);
}

nghttp3_callbacks Http3::callbacks()
{
    nghttp3_callbacks c{};
    c.acked_stream_data = [](nghttp3_conn*, std::int64_t id, std::uint64_t length, void* self,
                             void*) {
        if (Stream* stream = self_of(self)->find(id))
            stream->send.release(length);
        return 0;
    };
    c.recv_data = [](nghttp3_conn*, std::int64_t id, const std::uint8_t* data, std::size_t length,
                     void* self, void*) {
        if (Stream* stream = self_of(self)->find(id))
            self_of(self)->fill(*stream, std::as_bytes(std::span{data, length}));
        return 0;
    };
    c.deferred_consume = [](nghttp3_conn*, std::int64_t id, std::size_t consumed, void* self,
                            void*) {
        self_of(self)->give_credit(id, consumed, consumed);
        return 0;
    };
    c.begin_headers = [](nghttp3_conn*, std::int64_t id, void* self, void*) {
        if (self_of(self)->server_)
            self_of(self)->add(id);
        return 0;
    };
    c.recv_header = [](nghttp3_conn*, std::int64_t id, std::int32_t, nghttp3_rcbuf* name,
                       nghttp3_rcbuf* value, std::uint8_t, void* self, void*) {
        Stream* stream = self_of(self)->find(id);
        if (stream == nullptr)
            return 0;
        if (std::string* place = field_named(stream->fields, text_of(name)))
            *place = text_of(value);
        return 0;
    };
    c.end_headers = [](nghttp3_conn*, std::int64_t id, int fin, void* self, void*) {
        if (Stream* stream = self_of(self)->find(id))
            self_of(self)->finish_fields(*stream, fin != 0);
        return 0;
    };
    c.end_stream = [](nghttp3_conn*, std::int64_t id, void* self, void*) {
        if (Stream* stream = self_of(self)->find(id)) {
            stream->receive_ended = true;
            self_of(self)->tell_readable(*stream);
        }
        return 0;
    };
    c.stop_sending = [](nghttp3_conn*, std::int64_t id, std::uint64_t code, void* self, void*) {
        ngtcp2_conn_shutdown_stream_read(self_of(self)->quic_, 0, id, code);
        return 0;
    };
    c.reset_stream = [](nghttp3_conn*, std::int64_t id, std::uint64_t code, void* self, void*) {
        ngtcp2_conn_shutdown_stream_write(self_of(self)->quic_, 0, id, code);
        if (Stream* stream = self_of(self)->find(id))
            self_of(self)->tell_reset(*stream, code);
        return 0;
    };
    return c;
}

Result<> Http3::start()
{
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = largest_fields;
    settings.enable_connect_protocol = server_ ? 1 : 0;
    settings.h3_datagram = 1;

    const nghttp3_callbacks table = callbacks();
    const int made = server_
                         ? nghttp3_conn_server_new(&h3_, &table, &settings, nullptr, this)
                         : nghttp3_conn_client_new(&h3_, &table, &settings, nullptr, this);
    std::int64_t control = -1;
    std::int64_t encoder = -1;
    std::int64_t decoder = -1;
    if (made != 0 || ngtcp2_conn_open_uni_stream(quic_, &control, nullptr) != 0 ||
        ngtcp2_conn_open_uni_stream(quic_, &encoder, nullptr) != 0 ||
        ngtcp2_conn_open_uni_stream(quic_, &decoder, nullptr) != 0 ||
        nghttp3_conn_bind_control_stream(h3_, control) != 0 ||
        nghttp3_conn_bind_qpack_streams(h3_, encoder, decoder) != 0)
        return make_error_code(Error::internal);
    return {};
}

Stream* Http3::find(std::int64_t id)
{
    const auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : &it->second;
}

Stream* Http3::find(StreamId id)
{
    return find(number(id));
}

const Stream* Http3::find(StreamId id) const
{
    const auto it = streams_.find(number(id));
    return it == streams_.end() ? nullptr : &it->second;
}

Stream& Http3::add(std::int64_t id)
{
    return streams_.try_emplace(id, StreamId{id}, pools_).first->second;
}

void Http3::erase_if_done(Stream& stream)
{
    if (!stream.closed || !stream.released)
        return;
    const std::int64_t id = number(stream.id);
    streams_.erase(id);
    if (server_)
        ngtcp2_conn_extend_max_streams_bidi(quic_, 1);
}

void Http3::tell_readable(Stream& stream)
{
    if (stream.readable_told || stream.released)
        return;
    stream.readable_told = true;
    events_->push_back(Readable{stream.id});
}

void Http3::tell_reset(Stream& stream, std::uint64_t code)
{
    if (stream.reset)
        return;
    stream.reset = true;
    if (!stream.released)
        events_->push_back(StreamReset{stream.id, code});
}

void Http3::give_credit(std::int64_t id, std::size_t stream_bytes, std::size_t connection_bytes)
{
    if (stream_bytes > 0)
        ngtcp2_conn_extend_max_stream_offset(quic_, id, stream_bytes);
    if (connection_bytes > 0)
        ngtcp2_conn_extend_max_offset(quic_, connection_bytes);
}

int Http3::handle_stream_data(std::int64_t id, Bytes data, bool fin)
{
    const nghttp3_ssize consumed = nghttp3_conn_read_stream(
        h3_, id, reinterpret_cast<const std::uint8_t*>(data.data()), data.size(), fin ? 1 : 0);
    if (consumed < 0)
        return static_cast<int>(consumed);
    give_credit(id, static_cast<std::size_t>(consumed), static_cast<std::size_t>(consumed));
    return 0;
}

void Http3::handle_acknowledged(std::int64_t id, std::uint64_t length)
{
    if (id != acknowledged_stream_) {
        settle_acknowledged();
        acknowledged_stream_ = id;
    }
    acknowledged_ += length;
}

int Http3::settle_acknowledged()
{
    const std::int64_t id = std::exchange(acknowledged_stream_, -1);
    const std::uint64_t length = std::exchange(acknowledged_, 0);
    if (id < 0)
        return 0;
    // nghttp3 before 1.9 takes an END_STREAM that still waits to be written for an acknowledged one.
    if (Stream* stream = find(id); stream != nullptr && stream->end_waits) {
        stream->withheld_acknowledgements += length;
        return 0;
    }
    return nghttp3_conn_add_ack_offset(h3_, id, length);
}

int Http3::handle_stream_closed(std::int64_t id, std::uint64_t code)
{
    if (const int result = settle_acknowledged(); result != 0)
        return result;
    const int result = nghttp3_conn_close_stream(h3_, id, code);
    if (result != 0 && result != NGHTTP3_ERR_STREAM_NOT_FOUND)
        return result;
    Stream* stream = find(id);
    if (stream == nullptr) {
        // A request stream that ended before its headers were whole has no record.
        if (server_ && ngtcp2_is_bidi_stream(id) != 0)
            ngtcp2_conn_extend_max_streams_bidi(quic_, 1);
        return 0;
    }
    stream->closed = true;
    if (ping_ == id)
        ping_.reset();
    // The second is a peer that wants no more; who has nothing to send just now learns it only here.
    if (!stream->receive_ended || !stream->send_ended)
        tell_reset(*stream, code);
    erase_if_done(*stream);
    return 0;
}

int Http3::handle_stream_reset(std::int64_t id, std::uint64_t code)
{
    if (Stream* stream = find(id))
        tell_reset(*stream, code);
    return nghttp3_conn_shutdown_stream_read(h3_, id);
}

void Http3::handle_credit(std::int64_t id)
{
    nghttp3_conn_unblock_stream(h3_, id);
}

void Http3::handle_send_stopped(std::int64_t id)
{
    settle_output();
    nghttp3_conn_shutdown_stream_write(h3_, id);
    Stream* stream = find(id);
    if (stream == nullptr)
        return;
    stream->send_stopped = true;
    if (!stream->send_ended)
        tell_reset(*stream, h3_request_cancelled);
}

void Http3::handle_datagram(Bytes frame)
{
    Reader in{frame};
    const std::uint64_t quarter = wire::read_varint(in);
    if (!in.ok() || quarter > (std::uint64_t{1} << 60) - 1)
        return;
    Stream* stream = find(static_cast<std::int64_t>(quarter * 4));
    if (stream == nullptr || stream->kind != Request::Kind::udp || stream->released)
        return; // for a request that is gone, or not here yet: lost like any datagram
    const auto payload = wire::decode_udp_payload(in.rest());
    if (payload && *payload)
        add_datagram(*stream, **payload);
}

void Http3::add_datagram(Stream& stream, Bytes payload)
{
    if (stream.datagrams.size() >= Stream::most_datagrams ||
        stream.datagram_bytes + payload.size() > Stream::most_datagram_bytes) {
        ++datagrams_dropped_;
        return;
    }
    stream.datagrams.emplace_back(payload.begin(), payload.end());
    stream.datagram_bytes += payload.size();
    tell_readable(stream);
}

void Http3::fill(Stream& stream, Bytes data)
{
    const std::int64_t id = number(stream.id);
    if (stream.released || stream.reset) {
        give_credit(id, data.size(), data.size());
        return;
    }
    if (stream.kind == Request::Kind::udp) {
        give_credit(id, data.size(), data.size());
        read_capsules(stream, data);
        return;
    }
    stream.receive.append(data);
    undelivered_ += data.size();
    if (undelivered_ <= config_.receive_buffer)
        give_credit(id, 0, data.size());
    else
        withheld_credit_ += data.size();
    tell_readable(stream);
}

void Http3::read_capsules(Stream& stream, Bytes data)
{
    while (!data.empty()) {
        const auto capsule = stream.capsules.read(data);
        const auto payload = capsule && *capsule ? wire::decode_udp_payload(**capsule)
                                                 : Result<std::optional<Bytes>>{std::nullopt};
        if (!capsule || !payload) {
            reset(stream.id, h3_message_error);
            events_->push_back(StreamReset{stream.id, h3_message_error});
            return;
        }
        if (*payload)
            add_datagram(stream, **payload);
    }
}

void Http3::finish_fields(Stream& stream, bool fin)
{
    if (fin)
        stream.receive_ended = true;
    server_ ? finish_request(stream) : finish_response(stream);
}

void Http3::finish_request(Stream& stream)
{
    const bool is_ping = stream.fields.method == "OPTIONS" && stream.fields.path == "*";
    const auto request = request_of(stream.fields);
    stream.fields = {};
    if (is_ping) {
        answer_ping(stream);
    } else if (!request) {
        respond(stream.id, {.status = 400, .proxy_status = "narrowlink; error=http_request_error"});
        release(stream.id);
    } else {
        stream.kind = request->kind;
        events_->push_back(RequestReceived{stream.id, *request});
    }
}

void Http3::answer_ping(Stream& stream)
{
    const nghttp3_nv status = field(":status", "204");
    stream.answered = true;
    stream.send_ended = true;
    nghttp3_conn_submit_response(h3_, number(stream.id), &status, 1, nullptr);
    const nghttp3_pri first{.urgency = NGHTTP3_URGENCY_HIGH, .inc = 0};
    nghttp3_conn_set_server_stream_priority(h3_, number(stream.id), &first);
    release(stream.id);
}

void Http3::finish_response(Stream& stream)
{
    Response response;
    const std::string& status = stream.fields.status;
    std::from_chars(status.data(), status.data() + status.size(), response.status);
    response.proxy_status = std::move(stream.fields.proxy_status);
    stream.fields = {};
    if (response.status < 200 || stream.answered)
        return; // informational, RFC 9110 §15.2, or trailers
    stream.answered = true;
    if (ping_ == number(stream.id))
        ping_.reset();
    if (!stream.released)
        events_->push_back(ResponseReceived{stream.id, std::move(response)});
}

int Http3::next_output()
{
    if (output_.size() > 0)
        return 0;
    settle_output();
    for (;;) {
        int fin = 0;
        const nghttp3_ssize count = nghttp3_conn_writev_stream(
            h3_, &output_.stream, &fin, output_.parts.data(), output_.parts.size());
        if (count < 0)
            return static_cast<int>(count);
        output_.count = static_cast<std::size_t>(count);
        output_.fin = fin != 0;
        if (output_.stream >= 0)
            return 0;
        // nghttp3 asks one stream and says "nothing" if that had nothing; others may still wait.
        if (std::exchange(would_block_, false))
            continue;
        if (exhausted_.empty())
            return 0;
        next_round();
    }
}

void Http3::next_round()
{
    for (const std::int64_t id : exhausted_) {
        Stream* stream = find(id);
        if (stream == nullptr)
            continue;
        stream->exhausted = false;
        stream->quota = round_quota;
        nghttp3_conn_resume_stream(h3_, id);
    }
    exhausted_.clear();
}

void Http3::handle_output_sent(std::size_t length)
{
    output_sent_ = output_sent_.value_or(0) + length;
    for (; output_.size() > 0; ++output_.first) {
        nghttp3_vec& part = output_.parts[output_.first];
        if (length < part.len) {
            part.base += length;
            part.len -= length;
            return;
        }
        length -= part.len;
    }
    settle_output();
}

void Http3::settle_output()
{
    const std::int64_t id = std::exchange(output_.stream, -1);
    output_.first = output_.count = 0;
    const auto length = std::exchange(output_sent_, std::nullopt);
    if (!length)
        return;
    nghttp3_conn_add_write_offset(h3_, id, *length);
    Stream* stream = find(id);
    if (stream == nullptr || !stream->end_waits)
        return;
    stream->end_waits = false;
    nghttp3_conn_add_ack_offset(h3_, id, std::exchange(stream->withheld_acknowledgements, 0));
}

void Http3::handle_output_blocked()
{
    const std::int64_t id = output_.stream;
    settle_output();
    nghttp3_conn_block_stream(h3_, id);
}

nghttp3_ssize Http3::read_data(nghttp3_conn*, std::int64_t id, nghttp3_vec* parts,
                               std::size_t most, std::uint32_t* flags, void* self, void*)
{
    Stream* stream = self_of(self)->find(id);
    if (stream == nullptr) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        return 0;
    }
    return self_of(self)->provide(*stream, parts, most, flags);
}

nghttp3_ssize Http3::provide(Stream& stream, nghttp3_vec* parts, std::size_t most,
                             std::uint32_t* flags)
{
    if (stream.send.unread() == 0) {
        if (!stream.send_ended) {
            would_block_ = true;
            return NGHTTP3_ERR_WOULDBLOCK;
        }
        stream.end_waits = true;
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        return 0;
    }
    if (stream.quota == 0) {
        if (!stream.exhausted)
            exhausted_.push_back(number(stream.id));
        stream.exhausted = true;
        would_block_ = true;
        return NGHTTP3_ERR_WOULDBLOCK;
    }

    std::array<Bytes, 16> spans;
    const std::size_t before = stream.send.unread();
    const std::size_t count =
        stream.send.read(std::span{spans}.first(std::min(most, spans.size())), stream.quota);
    stream.quota -= before - stream.send.unread();
    for (std::size_t i = 0; i < count; ++i)
        parts[i] = {reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(spans[i].data())),
                    spans[i].size()};

    if (stream.send.unread() == 0 && stream.send_ended)
        *flags |= NGHTTP3_DATA_FLAG_EOF;
    if (stream.wants_writable && stream.send.unread() < config_.send_buffer && !stream.released) {
        stream.wants_writable = false;
        events_->push_back(Writable{stream.id});
    }
    return static_cast<nghttp3_ssize>(count);
}

Result<StreamId> Http3::open(const Request& request)
{
    std::int64_t id = -1;
    if (ngtcp2_conn_open_bidi_stream(quic_, &id, nullptr) != 0)
        return make_error_code(Error::too_many_streams);
    Stream& stream = add(id);
    stream.kind = request.kind;
    stream.quota = round_quota;

    const std::string target = to_string(request.target);
    const std::string path = wire::format_udp_path(request.target);
    const std::array tcp_fields = {field(":method", "CONNECT"), field(":authority", target)};
    const std::array udp_fields = {
        field(":method", "CONNECT"), field(":protocol", "connect-udp"), field(":scheme", "https"),
        field(":authority", "agent"), field(":path", path),             field("capsule-protocol", "?1")};
    const bool udp = request.kind == Request::Kind::udp;
    const nghttp3_data_reader reader{read_data};
    const int submitted = nghttp3_conn_submit_request(
        h3_, id, udp ? udp_fields.data() : tcp_fields.data(),
        udp ? udp_fields.size() : tcp_fields.size(), &reader, nullptr);
    if (submitted != 0) {
        streams_.erase(id);
        ngtcp2_conn_shutdown_stream(quic_, 0, id, h3_request_cancelled);
        return make_error_code(Error::internal);
    }
    return StreamId{id};
}

Result<> Http3::ping()
{
    std::int64_t id = -1;
    if (ngtcp2_conn_open_bidi_stream(quic_, &id, nullptr) != 0)
        return make_error_code(Error::too_many_streams);
    const std::array fields = {field(":method", "OPTIONS"), field(":scheme", "https"),
                               field(":authority", "agent"), field(":path", "*")};
    if (nghttp3_conn_submit_request(h3_, id, fields.data(), fields.size(), nullptr, nullptr) != 0) {
        ngtcp2_conn_shutdown_stream(quic_, 0, id, h3_request_cancelled);
        return make_error_code(Error::internal);
    }
    Stream& stream = add(id);
    stream.send_ended = true;
    stream.released = true;
    ping_ = id;
    return {};
}

void Http3::respond(StreamId id, const Response& response)
{
    Stream* stream = find(id);
    if (stream == nullptr || stream->answered || stream->reset)
        return;
    stream->answered = true;
    stream->quota = round_quota;

    const std::string status = std::to_string(response.status);
    std::array<nghttp3_nv, 3> fields{};
    std::size_t count = 0;
    fields[count++] = field(":status", status);
    if (!response.proxy_status.empty())
        fields[count++] = field("proxy-status", response.proxy_status);
    if (response.is_success() && stream->kind == Request::Kind::udp)
        fields[count++] = field("capsule-protocol", "?1");
    const nghttp3_data_reader reader{read_data};
    if (!response.is_success())
        stream->send_ended = true;
    nghttp3_conn_submit_response(h3_, number(id), fields.data(), count,
                                 response.is_success() ? &reader : nullptr);
}

std::size_t Http3::send_space(StreamId id)
{
    Stream* stream = find(id);
    if (stream == nullptr || stream->send_ended || stream->send_stopped || stream->reset)
        return 0;
    const std::size_t unsent = stream->send.unread();
    if (unsent < config_.send_buffer)
        return config_.send_buffer - unsent;
    stream->wants_writable = true;
    return 0;
}

MutableBytes Http3::send_block(StreamId id)
{
    Stream* stream = find(id);
    return stream == nullptr ? MutableBytes{} : stream->send.block();
}

void Http3::send_committed(StreamId id, std::size_t n)
{
    Stream* stream = find(id);
    if (stream == nullptr || n == 0)
        return;
    stream->send.commit(n);
    resume(*stream);
}

bool Http3::send_capsule(StreamId id, Bytes payload)
{
    Stream* stream = find(id);
    if (stream == nullptr || send_space(id) < payload.size())
        return false;
    std::vector<std::byte> capsule(payload.size() + wire::max_udp_capsule_overhead);
    Writer out{capsule};
    wire::write_udp_capsule(out, payload);
    stream->send.append(out.written());
    resume(*stream);
    return true;
}

void Http3::resume(Stream& stream)
{
    if (!stream.exhausted && !stream.reset && !stream.send_stopped)
        nghttp3_conn_resume_stream(h3_, number(stream.id));
}

void Http3::shutdown_send(StreamId id)
{
    Stream* stream = find(id);
    if (stream == nullptr || stream->send_ended)
        return;
    stream->send_ended = true;
    resume(*stream);
}

std::size_t Http3::received(StreamId id, std::span<Bytes> spans)
{
    Stream* stream = find(id);
    if (stream == nullptr)
        return 0;
    stream->readable_told = false;
    return stream->receive.peek(spans);
}

void Http3::consume(StreamId id, std::size_t n)
{
    Stream* stream = find(id);
    if (stream == nullptr || n == 0)
        return;
    stream->receive.release(n);
    undelivered_ -= n;
    std::size_t connection_bytes = 0;
    if (undelivered_ <= config_.receive_buffer)
        connection_bytes = std::exchange(withheld_credit_, 0);
    give_credit(number(id), n, connection_bytes);
}

bool Http3::receive_ended(StreamId id) const
{
    const Stream* stream = find(id);
    return stream == nullptr || (stream->receive_ended && stream->receive.size() == 0);
}

std::optional<std::vector<std::byte>> Http3::receive_datagram(StreamId id)
{
    Stream* stream = find(id);
    if (stream == nullptr)
        return std::nullopt;
    if (stream->datagrams.empty()) {
        stream->readable_told = false;
        return std::nullopt;
    }
    std::vector<std::byte> payload = std::move(stream->datagrams.front());
    stream->datagrams.pop_front();
    stream->datagram_bytes -= payload.size();
    return payload;
}

void Http3::reset(StreamId id, std::uint64_t code)
{
    Stream* stream = find(id);
    if (stream == nullptr || stream->reset)
        return;
    stream->reset = true;
    if (stream->closed)
        return;
    nghttp3_conn_shutdown_stream_write(h3_, number(id));
    nghttp3_conn_shutdown_stream_read(h3_, number(id));
    ngtcp2_conn_shutdown_stream(quic_, 0, number(id), code);
}

void Http3::release(StreamId id)
{
    Stream* stream = find(id);
    if (stream == nullptr || stream->released)
        return;
    if (stream->receive.size() > 0)
        consume(id, stream->receive.size());
    stream->datagrams.clear();
    stream->released = true;
    if (!stream->closed && !stream->reset) {
        if (!stream->send_ended)
            reset(id, h3_request_cancelled);
        else if (!stream->receive_ended)
            ngtcp2_conn_shutdown_stream_read(quic_, 0, number(id), h3_no_error); // RFC 9114 §4.1
    }
    erase_if_done(*stream);
}

} // namespace narrowlink::quic

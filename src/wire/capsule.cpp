// Theory of operation
//
// Goal: the DATAGRAM capsules of a stream, with one copy at most and bounded memory.
//
// States
//   header  type and length are collected in head_, at most 16 bytes.
//   value   a DATAGRAM capsule. When the rest of the input holds all of it, the caller gets a view
//           of its own bytes; otherwise it is put together in value_.
//   skip    another capsule; only its length is remembered.
//   failed  a DATAGRAM capsule over the limit; nothing leads out of it.
//
// Limits: value_ never holds more than max_datagram_capsule bytes, and only what has arrived: a
// length alone makes nobody allocate.

#include "narrowlink/wire/capsule.hpp"

#include <boost/system/errc.hpp>

#include <algorithm>
#include <cassert>

namespace narrowlink::wire {

Result<std::optional<Bytes>> CapsuleReader::read(Bytes& input)
{
    for (;;) {
        switch (state_) {
        case State::header:
            if (!take_header(input))
                return std::optional<Bytes>{};
            break;
        case State::value: return take_value(input);
        case State::skip:
            take_skipped(input);
            if (state_ == State::skip)
                return std::optional<Bytes>{};
            break;
        case State::failed: return make_error_code(boost::system::errc::message_size);
        }
    }
}

// Byte by byte: a header is two to sixteen bytes, and this way none is taken that follows it.
bool CapsuleReader::take_header(Bytes& input)
{
    while (!input.empty()) {
        head_[head_size_++] = input.front();
        input = input.subspan(1);
        const Bytes head = Bytes{head_}.first(head_size_);
        const auto type = decode_varint(head);
        const auto length = type ? decode_varint(head.subspan(type->size)) : std::nullopt;
        if (!length)
            continue;

        head_size_ = 0;
        remaining_ = length->value;
        value_.clear();
        if (type->value != datagram_capsule)
            state_ = State::skip;
        else
            state_ = remaining_ <= max_datagram_capsule ? State::value : State::failed;
        return true;
    }
    return false;
}

Result<std::optional<Bytes>> CapsuleReader::take_value(Bytes& input)
{
    const std::size_t part = std::min<std::size_t>(input.size(), remaining_);
    const Bytes head = input.first(part);
    input = input.subspan(part);
    remaining_ -= part;
    if (remaining_ == 0) {
        state_ = State::header;
        if (value_.empty())
            return std::optional{head};
    }
    value_.insert(value_.end(), head.begin(), head.end());
    if (remaining_ > 0)
        return std::optional<Bytes>{};
    return std::optional{Bytes{value_}};
}

void CapsuleReader::take_skipped(Bytes& input)
{
    const std::size_t part = std::min<std::uint64_t>(input.size(), remaining_);
    input = input.subspan(part);
    remaining_ -= part;
    if (remaining_ == 0)
        state_ = State::header;
}

void write_capsule_header(Writer& out, std::uint64_t type, std::uint64_t length)
{
    write_varint(out, type);
    write_varint(out, length);
}

void write_udp_payload(Writer& out, Bytes payload)
{
    assert(payload.size() <= max_udp_payload);
    write_varint(out, 0);
    out.bytes(payload);
}

void write_udp_capsule(Writer& out, Bytes payload)
{
    write_capsule_header(out, datagram_capsule, varint_size(0) + payload.size());
    write_udp_payload(out, payload);
}

Result<std::optional<Bytes>> decode_udp_payload(Bytes datagram)
{
    Reader in{datagram};
    const std::uint64_t context = read_varint(in);
    if (!in.ok())
        return make_error_code(boost::system::errc::bad_message);
    if (context != 0)
        return std::optional<Bytes>{};
    if (in.rest().size() > max_udp_payload)
        return make_error_code(boost::system::errc::message_size);
    return std::optional{in.rest()};
}

} // namespace narrowlink::wire

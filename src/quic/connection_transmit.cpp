// Theory of operation
//
// Goal: trains of packets of one size for one path, so that one system call sends them all.
//
// A train ends with a packet that is shorter, that fills it up, or that has to go elsewhere: ngtcp2
// decides for each packet by which path it goes, and while a path is validated its challenges come
// up between packets of the path in use. Such a packet is held back and is the next train. So is one
// with another ECN mark: the first ten on a path are marked, the others once the marks of those are
// known to arrive (RFC 9000 §13.4.2).
//
// Pacing. On paths that do not push back a train may go when the one before has had its share of the
// round trip. Until then only control frames and what was lost go out.
//
// Sizes. Every packet is written with the size of the path in use as its room. Those for other
// paths are challenges and answers to them, never more than 1,200 bytes. So are those of a handshake
// and an answer to a challenge on the path in use: ngtcp2 1.17 and later pads these to their room,
// and an answer does not arm the probe timer. Two of 16 KiB that got lost would fill the congestion
// window of a new path for ever.

#include "connection_impl.hpp"
#include "octets.hpp"

#include "narrowlink/wire/varint.hpp"

#include <algorithm>

namespace narrowlink::quic {
namespace {

/// First byte, connection ID, packet number, AEAD tag: the most they take.
constexpr std::size_t packet_overhead = 1 + 8 + 4 + 16;
/// Frame type and length.
constexpr std::size_t datagram_overhead = 5;
constexpr std::size_t padded_packet = 1'200; // RFC 9000 §8.2.2, §14.1: what ngtcp2 has to pad to
constexpr std::size_t most_segments = 64; // one UDP_SEGMENT call, udp(7)
/// Who is woken late may send what it could have sent meanwhile.
constexpr Duration most_catching_up = std::chrono::milliseconds{2};

} // namespace

void Connection::Impl::set_limits(PathId path, PathLimits limits)
{
    limits_.insert_or_assign(path, limits);
}

const Connection::PathLimits& Connection::Impl::limits() const
{
    static const PathLimits cautious;
    const auto known = limits_.find(current_path_);
    return known == limits_.end() ? cautious : known->second;
}

std::size_t Connection::Impl::room_of_next_packet() const
{
    const std::size_t mtu = limits().mtu;
    if (http3_ && (unanswered_challenges_ == 0 || !datagrams_.empty()))
        return mtu; // a datagram has to fit, and is acknowledged
    return std::min(mtu, padded_packet);
}

void Connection::Impl::note_written(std::size_t size)
{
    if (unanswered_challenges_ > 0 && size >= padded_packet)
        --unanswered_challenges_;
}

Connection::Transmit Connection::Impl::take_held(MutableBytes block)
{
    const Transmit train{held_.size(), held_.size(), held_path_, held_ecn_};
    std::ranges::copy(held_, block.begin());
    held_.clear();
    bytes_sent_ += train.size;
    return train;
}

Connection::Transmit Connection::Impl::poll_transmit(Instant now, MutableBytes block)
{
    if (!held_.empty())
        return take_held(block);
    Transmit train;
    if (conn_ == nullptr || over_)
        return train;
    const auto [mtu, paced] = limits();
    pacing_blocked_ = paced && now < next_send_ && !closing_;
    if (pacing_blocked_)
        return poll_control(now, block);
    const ngtcp2_tstamp ts = timestamp(now);
    const std::size_t quantum =
        paced ? std::max(ngtcp2_conn_get_send_quantum(conn_), mtu) : block.size();
    block = block.first(std::min(block.size(), std::max(quantum, mtu)));

    for (std::size_t count = 0; count < most_segments; ++count) {
        const std::size_t room =
            train.segment_size == 0 ? room_of_next_packet() : train.segment_size;
        if (block.size() - train.size < room)
            break;
        const MutableBytes place = block.subspan(train.size, room);
        ngtcp2_path_storage path;
        ngtcp2_path_storage_zero(&path);
        ngtcp2_pkt_info info{};
        bool datagram = false;
        const ngtcp2_ssize written = closing_
                                         ? write_close(ts, place)
                                         : write_packet(ts, place, &path.path, info, datagram);
        if (written < 0 && !closing_)
            fail(static_cast<int>(written));
        if (written <= 0) {
            if (closing_ && count == 0)
                continue; // fail() has just left a CONNECTION_CLOSE to be written
            break;
        }
        follow_path();
        const std::uint8_t ecn = is_ecn_obeyed() ? info.ecn : 0;
        const auto size = static_cast<std::size_t>(written);
        note_written(size);
        const auto to = over_ ? current_path_ : paths_.find(path.path);
        if (!to)
            continue; // an answer to a challenge on a path that was given up long ago
        if (train.size > 0 && (*to != train.path || ecn != train.ecn)) {
            held_.assign(place.begin(), place.begin() + written);
            held_path_ = *to;
            held_ecn_ = ecn;
            break;
        }
        train.path = *to;
        train.ecn = ecn;
        if (train.segment_size == 0)
            train.segment_size = size;
        train.size += size;
        // A train's packets have one size. Behind a short packet of stream data a full one may
        // wait; equally sized datagrams go on.
        if (size < train.segment_size || (size < mtu && !datagram) || over_ ||
            *to != current_path_)
            break;
    }
    if (http3_)
        http3_->settle_output();
    if (paced && !over_)
        pace(now, train.size);
    bytes_sent_ += train.size;
    return train;
}

/// When the next train may go (RFC 9002 §7.7). Not ngtcp2's pacing: it would count what was sent
/// unpaced before a migration, and stand still for it.
void Connection::Impl::pace(Instant now, std::size_t sent)
{
    const ngtcp2_conn_info info = this->info();
    const bool has_rtt_sample = info.min_rtt != UINT64_MAX; // on this path
    if (sent == 0 || !has_rtt_sample || info.cwnd == 0)
        return;
    // Five quarters of the window in a round trip.
    const auto time = static_cast<double>(info.smoothed_rtt) * 0.8 * static_cast<double>(sent) /
                      static_cast<double>(info.cwnd);
    next_send_ = std::max(next_send_, now - most_catching_up) +
                 Duration{static_cast<Duration::rep>(time)};
}

Connection::Transmit Connection::Impl::poll_control(Instant now, MutableBytes block)
{
    if (!held_.empty())
        return take_held(block);
    Transmit train;
    if (conn_ == nullptr || over_ || closing_)
        return train;
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info{};
    const ngtcp2_ssize written =
        ngtcp2_conn_write_pkt(conn_, &path.path, &info, octets(block),
                              std::min(block.size(), room_of_next_packet()), timestamp(now));
    if (written < 0)
        fail(static_cast<int>(written));
    follow_path();
    const auto to = paths_.find(path.path);
    if (written <= 0 || !to)
        return train;
    const auto size = static_cast<std::size_t>(written);
    bytes_sent_ += size;
    note_written(size);
    return {size, size, *to, is_ecn_obeyed() ? info.ecn : std::uint8_t{0}};
}

ngtcp2_ssize Connection::Impl::write_packet(ngtcp2_tstamp ts, MutableBytes place,
                                            ngtcp2_path* path, ngtcp2_pkt_info& info,
                                            bool& datagram)
{
    const std::size_t mtu = limits().mtu;
    // Datagrams first, and stream bytes behind them in the same packet: else a flow of small
    // datagrams would leave the streams no packet of a useful size.
    std::size_t room = place.size() - std::min(place.size(), packet_overhead);
    while (http3_ && !datagrams_.empty()) {
        const Datagram& next = datagrams_.front();
        const std::size_t needed = next.prefix_size + next.payload.size() + datagram_overhead;
        if (needed + packet_overhead <= mtu && needed > room)
            break; // the train's packets are smaller: one for the next train
        bool accepted = false;
        const bool outgrown = needed + packet_overhead > mtu; // queued for a carrier with larger packets
        const ngtcp2_ssize size =
            outgrown ? NGTCP2_ERR_INVALID_ARGUMENT : write_datagram(ts, place, path, info, accepted);
        const bool refused = size == NGTCP2_ERR_INVALID_ARGUMENT || size == NGTCP2_ERR_INVALID_STATE;
        if (accepted || refused) {
            datagrams_dropped_ += refused ? 1 : 0;
            datagram_bytes_ -= next.payload.size();
            datagrams_.pop_front();
            room -= accepted ? needed : 0;
            datagram = datagram || accepted;
        }
        if (size != NGTCP2_ERR_WRITE_MORE && !refused)
            return size;
    }

    for (;;) {
        static const Http3::Output nothing{};
        const bool may_send = http3_ && ngtcp2_conn_get_max_data_left(conn_) > 0;
        if (may_send)
            if (const int result = http3_->next_output(); result < 0) {
                fail_http3(result);
                return 0;
            }
        const Http3::Output& out = may_send ? http3_->output() : nothing;
        static_assert(sizeof(nghttp3_vec) == sizeof(ngtcp2_vec));
        const auto* parts = reinterpret_cast<const ngtcp2_vec*>(out.data());
        std::uint32_t flags = 0;
        if (out.stream >= 0)
            flags |= NGTCP2_WRITE_STREAM_FLAG_MORE;
        if (out.fin)
            flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;

        ngtcp2_ssize accepted = -1;
        const ngtcp2_ssize size = ngtcp2_conn_writev_stream(
            conn_, path, &info, octets(place), place.size(), &accepted, flags, out.stream,
            out.stream >= 0 ? parts : nullptr, out.stream >= 0 ? out.size() : 0, ts);
        if (size == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
            http3_->handle_output_blocked();
            continue;
        }
        if (size == NGTCP2_ERR_STREAM_SHUT_WR || size == NGTCP2_ERR_STREAM_NOT_FOUND) {
            http3_->handle_send_stopped(out.stream);
            continue;
        }
        if (out.stream >= 0 && accepted >= 0)
            http3_->handle_output_sent(static_cast<std::size_t>(accepted));
        if (size != NGTCP2_ERR_WRITE_MORE)
            return size;
    }
}

ngtcp2_ssize Connection::Impl::write_datagram(ngtcp2_tstamp ts, MutableBytes place,
                                              ngtcp2_path* path, ngtcp2_pkt_info& info,
                                              bool& accepted)
{
    Datagram& next = datagrams_.front();
    const std::array parts = {
        ngtcp2_vec{octets(MutableBytes{next.prefix}), next.prefix_size},
        ngtcp2_vec{octets(MutableBytes{next.payload}), next.payload.size()}};
    int taken = 0;
    const ngtcp2_ssize size =
        ngtcp2_conn_writev_datagram(conn_, path, &info, octets(place), place.size(), &taken,
                                    NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, parts.data(),
                                    next.payload.empty() ? 1 : 2, ts); // it asserts on empty parts
    accepted = taken != 0;
    return size;
}

ngtcp2_ssize Connection::Impl::write_close(ngtcp2_tstamp ts, MutableBytes place)
{
    closing_ = false;
    over_ = true;
    ngtcp2_pkt_info ecn{};
    const ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
        conn_, nullptr, &ecn, octets(place), place.size(), &close_error_, ts);
    return std::max<ngtcp2_ssize>(size, 0);
}

bool Connection::Impl::send_datagram(StreamId id, Bytes payload)
{
    Datagram datagram;
    Writer prefix{datagram.prefix};
    wire::write_varint(prefix, static_cast<std::uint64_t>(id) / 4);
    wire::write_varint(prefix, 0);
    datagram.prefix_size = prefix.size();
    if (datagram.prefix_size + payload.size() + datagram_overhead + packet_overhead >
        limits().mtu) {
        const bool sent = http3_->send_capsule(id, payload);
        datagrams_dropped_ += sent ? 0 : 1;
        return sent;
    }
    if (datagram_bytes_ + payload.size() > most_datagram_bytes) {
        ++datagrams_dropped_;
        return false;
    }
    datagram.payload.assign(payload.begin(), payload.end());
    datagram_bytes_ += payload.size();
    datagrams_.push_back(std::move(datagram));
    return true;
}

} // namespace narrowlink::quic

#include "narrowlink/wire/relay_frame.hpp"

#include <boost/system/errc.hpp>

#include <cassert>

namespace narrowlink::wire {
namespace {

constexpr std::size_t handle_offset = 4;

} // namespace

void prepend(Buffer& buffer, RelayHeader header)
{
    Writer out{buffer.prepend(RelayHeader::size)};
    out.u8(RelayHeader::type);
    out.u8(0);
    out.u16(header.segment_size);
    out.u32(static_cast<std::uint32_t>(header.handle));
}

Result<RelayFrame> decode_relay_frame(Bytes message)
{
    Reader in{message};
    const std::uint8_t type = in.u8();
    const std::uint8_t reserved = in.u8();
    const std::uint16_t segment_size = in.u16();
    const PairHandle handle{in.u32()};
    const RelayFrame frame{{segment_size, handle}, in.rest()};
    if (!in.ok() || type != RelayHeader::type || reserved != 0 || segment_size == 0 ||
        frame.payload.empty() || frame.payload.size() > max_relay_payload ||
        frame.segments() > max_relay_segments)
        return make_error_code(boost::system::errc::bad_message);
    return frame;
}

void rewrite_handle(MutableBytes message, PairHandle handle)
{
    assert(message.size() > RelayHeader::size);
    Writer{message.subspan(handle_offset)}.u32(static_cast<std::uint32_t>(handle));
}

} // namespace narrowlink::wire

#include "udp_talk.hpp"

namespace narrowlink::sim {
namespace {

constexpr std::size_t header_size = 12; ///< stream, number, direction and size
constexpr Duration last_answers = seconds{3};

} // namespace

UdpTalk::UdpTalk(World& world, Stream stream, Side side, Conversation& conversation,
                 std::function<void()> over)
    : Talk{world, std::move(stream), side, conversation, std::move(over)}
{
}

std::vector<std::byte> UdpTalk::payload(bool upload, std::uint32_t number, std::size_t size) const
{
    std::vector<std::byte> bytes(size);
    Writer header{bytes};
    header.u32(plan().id);
    header.u32(number);
    header.u32(static_cast<std::uint32_t>(size) << 1 | (upload ? 1 : 0));
    Pattern{(std::uint64_t{plan().id} << 32 | number) << 1 | (upload ? 1 : 0)}.fill(
        0, MutableBytes{bytes}.subspan(header_size));
    return bytes;
}

void UdpTalk::go_on()
{
    receive();
    if (is_over())
        return;
    if (at_client() && world_.now() >= send_at_ && next_ < plan().datagrams) {
        send(next_++);
        send_at_ = world_.now() + plan().interval;
        pause(plan().interval);
    }
    if (at_client() && next_ == plan().datagrams && linger_until_ == never) {
        linger_until_ = world_.now() + last_answers;
        pause(last_answers);
    }
    const bool done =
        at_client() ? world_.now() >= linger_until_ : connection().receive_ended(stream_.id);
    if (done && !send_ended_) {
        send_ended_ = true;
        connection().shutdown_send(stream_.id);
    }
    stream_.driver->settle();
    if (send_ended_)
        end(Ending::clean);
}

void UdpTalk::receive()
{
    while (const auto datagram = connection().receive_datagram(stream_.id)) {
        Reader header{*datagram};
        header.u32();
        const std::uint32_t number = header.u32();
        if (datagram->size() < header_size ||
            *datagram != payload(!at_client(), number, datagram->size()))
            world_.fail(fmt::format("stream {}: a datagram was changed", plan().id));
        if (number >= plan().datagrams || !seen_.insert(number).second)
            world_.fail(fmt::format("stream {}: datagram {} came twice", plan().id, number));
        ++mine_->received;
        note_progress();
        if (!at_client())
            send(number);
    }
}

void UdpTalk::send(std::uint32_t number)
{
    const std::size_t size =
        world_.network.between_magnitudes(header_size, plan().largest_datagram);
    if (connection().send_datagram(stream_.id, payload(at_client(), number, size)))
        ++mine_->sent;
}

} // namespace narrowlink::sim

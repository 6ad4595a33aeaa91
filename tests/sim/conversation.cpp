#include "conversation.hpp"

#include "tcp_talk.hpp"
#include "udp_talk.hpp"

namespace narrowlink::sim {

std::string_view to_string(Ending ending)
{
    switch (ending) {
    case Ending::none: return "none";
    case Ending::clean: return "clean";
    case Ending::reset: return "reset by the other end";
    case Ending::resetting: return "reset";
    case Ending::lost: return "pair lost";
    case Ending::refused: return "refused";
    case Ending::killed: return "process killed";
    }
    return "unknown";
}

std::unique_ptr<Talk> Talk::make(World& world, Stream stream, Side side, Conversation& conversation,
                                 std::function<void()> over)
{
    if (conversation.plan.kind == Plan::Kind::udp)
        return std::make_unique<UdpTalk>(world, std::move(stream), side, conversation,
                                         std::move(over));
    return std::make_unique<TcpTalk>(world, std::move(stream), side, conversation, std::move(over));
}

Talk::Talk(World& world, Stream stream, Side side, Conversation& conversation,
           std::function<void()> over)
    : world_{world}
    , stream_{std::move(stream)}
    , side_{side}
    , conversation_{conversation}
    , mine_{side == Side::client ? conversation.client : conversation.agent}
    , over_{std::move(over)}
{
    stream_.driver->add(stream_.id, *this);
    if (stream_.driver->is_closed())
        handle_failure(std::nullopt);
}

Talk::~Talk()
{
    stream_.driver->remove(stream_.id);
    if (mine_->ending == Ending::killed)
        return;
    connection().release(stream_.id);
    stream_.driver->settle();
}

void Talk::start()
{
    started_ = true;
    note_progress();
    wake();
}

void Talk::kill()
{
    if (!is_over())
        end(Ending::killed);
}

void Talk::handle_response(const quic::Response& response)
{
    if (is_over())
        return;
    if (!response.is_success())
        end(Ending::refused, response.status);
    else
        start();
}

void Talk::handle_change()
{
    wake();
}

void Talk::handle_failure(std::optional<std::uint64_t> code)
{
    if (!is_over())
        end(code ? Ending::reset : Ending::lost, code);
}

void Talk::wake()
{
    if (woken_ || !started_ || is_over())
        return;
    woken_ = true;
    world_.post(life_, [this] {
        woken_ = false;
        if (!is_over())
            go_on();
    });
}

void Talk::note_progress()
{
    conversation_.last_progress = world_.true_now();
}

void Talk::pause(Duration time)
{
    conversation_.paused_until = std::max(conversation_.paused_until, world_.true_now() + time);
    world_.after(time, life_, [this] { wake(); });
}

void Talk::end(Ending ending, std::optional<std::uint64_t> code)
{
    mine_->ending = ending;
    mine_->code = code;
    note_progress();
    world_.note("stream {}: {} ends: {}, sent {}, received {}", plan().id,
                at_client() ? "client" : "agent", to_string(ending), mine_->sent, mine_->received);
    if (ending != Ending::killed)
        world_.post(life_, [this] { over_(); });
}

} // namespace narrowlink::sim

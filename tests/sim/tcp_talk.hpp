#pragma once

#include "conversation.hpp"

namespace narrowlink::sim {

/// Plays drive::splice with an application behind it: bytes both ways, half-close, reset.
class TcpTalk final : public Talk {
public:
    TcpTalk(World&, Stream, Side, Conversation&, std::function<void()> over);

private:
    void go_on() override;
    void receive();
    void check(Bytes);
    void send();
    void end_if_done();

    [[nodiscard]] std::uint64_t expected() const;
    [[nodiscard]] std::uint64_t total() const;
    /// How much of it may have been sent by now.
    [[nodiscard]] std::uint64_t permitted() const;

    Pattern incoming_, outgoing_;
    Pace pace_;
    std::optional<std::uint64_t> reset_after_;
    Instant next_turn_{};
    bool receive_ended_ = false;
    bool send_ended_ = false;
};

} // namespace narrowlink::sim

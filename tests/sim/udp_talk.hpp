#pragma once

#include "conversation.hpp"

namespace narrowlink::sim {

/// Plays drive::splice for datagrams: the client's side sends some, the agent's side answers each.
/// They may be lost, but not changed, doubled or delivered elsewhere.
class UdpTalk final : public Talk {
public:
    UdpTalk(World&, Stream, Side, Conversation&, std::function<void()> over);

private:
    void go_on() override;
    void receive();
    void send(std::uint32_t number);
    [[nodiscard]] std::vector<std::byte> payload(bool upload, std::uint32_t number,
                                                 std::size_t size) const;

    std::set<std::uint32_t> seen_;
    std::uint32_t next_ = 0;
    Instant send_at_{};
    Instant linger_until_ = never;
    bool send_ended_ = false;
};

} // namespace narrowlink::sim

#pragma once

#include "pair_driver.hpp"
#include "pattern.hpp"

#include <map>
#include <memory>
#include <set>

namespace narrowlink::sim {

/// How an application takes what arrives.
struct Pace {
    std::size_t bytes_per_turn = 0; ///< 0: everything at once
    Duration pause{};               ///< after each turn

    [[nodiscard]] bool is_slow() const { return bytes_per_turn > 0; }
};

/// What two applications are going to do with one stream.
struct Plan {
    enum class Kind {
        tcp,  ///< each sends what it has
        echo, ///< the agent's side sends back what it gets
        udp,  ///< the agent's side answers each datagram with another
    };

    enum class Order {
        together,
        agent_after_client, ///< the agent's side sends when it has everything
        client_after_agent,
    };

    std::uint32_t id = 0;
    Kind kind = Kind::tcp;
    Duration starts_after{};
    std::uint64_t upload = 0, download = 0;
    Order order = Order::together;
    std::uint64_t echo_window = 0; ///< how far the client gets ahead of the echo
    Pace client_pace, agent_pace;
    std::optional<std::uint64_t> client_resets_after, agent_resets_after; ///< bytes received
    bool refused = false;
    std::uint32_t datagrams = 0;
    std::size_t largest_datagram = 1'200;
    Duration interval = milliseconds{20}; ///< between datagrams

    [[nodiscard]] bool is_slow() const
    {
        return kind == Kind::udp || client_pace.is_slow() || agent_pace.is_slow();
    }
};

enum class Ending {
    none,
    clean,     ///< both directions were ended properly
    reset,     ///< the other end has given it up
    resetting, ///< we did
    lost,      ///< the whole pair is over
    refused,
    killed, ///< our process is gone
};

std::string_view to_string(Ending);

/// What has become of a plan.
struct Conversation {
    struct End {
        std::uint64_t sent = 0, received = 0;
        Ending ending = Ending::none;
        std::optional<std::uint64_t> code; ///< of a reset
    };

    Plan plan;
    /// Of the last request; what came of an earlier one nobody waits for any more.
    std::shared_ptr<End> client = std::make_shared<End>(), agent = std::make_shared<End>();
    bool started = false;
    bool reached_agent = false;
    Instant last_progress{};
    Instant paused_until{};

    [[nodiscard]] bool is_over() const
    {
        const bool died_early = client->ending == Ending::killed && !reached_agent;
        return client->ending != Ending::none && (agent->ending != Ending::none || died_early);
    }
};

using Conversations = std::map<std::uint32_t, Conversation>;

/// One end's application and its stream.
class Talk : public StreamEnd {
public:
    enum class Side { client, agent };

    struct Stream {
        std::shared_ptr<PairDriver> driver;
        quic::StreamId id;
    };

    /// `over`: the talk may be destroyed, but not from within.
    static std::unique_ptr<Talk> make(World&, Stream, Side, Conversation&,
                                      std::function<void()> over);
    ~Talk() override;
    Talk(const Talk&) = delete;
    Talk& operator=(const Talk&) = delete;

    /// The stream is open: talk.
    void start();
    /// The process is killed.
    void kill();

    [[nodiscard]] Conversation& conversation() { return conversation_; }

    [[nodiscard]] bool has_started() const { return started_; }

    void handle_response(const quic::Response&) override;
    void handle_change() override;
    void handle_failure(std::optional<std::uint64_t> code) override;

protected:
    Talk(World&, Stream, Side, Conversation&, std::function<void()> over);

    /// Does whatever can be done now.
    virtual void go_on() = 0;

    void wake();
    void note_progress();
    void pause(Duration);
    void end(Ending, std::optional<std::uint64_t> code = {});

    [[nodiscard]] bool at_client() const { return side_ == Side::client; }

    [[nodiscard]] bool is_over() const { return mine_->ending != Ending::none; }

    [[nodiscard]] const Plan& plan() const { return conversation_.plan; }

    quic::Connection& connection() { return stream_.driver->connection(); }

    World& world_;
    Stream stream_;
    Side side_;
    Conversation& conversation_;
    std::shared_ptr<Conversation::End> mine_;

private:
    std::function<void()> over_;
    bool started_ = false;
    bool woken_ = false;
    Life life_;
};

} // namespace narrowlink::sim

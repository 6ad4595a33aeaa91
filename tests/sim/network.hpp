#pragma once

#include "narrowlink/base/bytes.hpp"
#include "world.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace narrowlink::sim {

/// One direction of a node's access to the network.
struct Shape {
    Duration delay = milliseconds{10};
    Duration jitter{};
    double bytes_per_second = 10e6;
    double hiccup = 0; ///< share of messages that TCP has to send again, which holds up all behind
};

enum class MessageKind { text, binary, end };

/// One direction of a TCP connection that carries WebSocket messages: in order and reliable, but
/// slow, and with a small socket buffer.
class Pipe {
public:
    struct Message {
        MessageKind kind;
        std::vector<std::byte> bytes;
    };

    Pipe(World& world, const Shape& shape, std::function<void(Message)> deliver,
         std::function<void()> writable);

    /// False when the socket's buffer is full: the message is taken later, then `writable` is
    /// called. Until then no other may be sent.
    bool send(Message message);

    /// Nothing passes any more. What is on its way is lost, and sent again after resume().
    void stall();
    /// The path is there again; TCP notices when it sends again. Returns when that is.
    Instant resume();
    void cut();

private:
    void accept(Message message);
    void transmit_next();
    void finish_transmission();
    void arrive();

    struct InFlight {
        Message message;
        Instant arrives_at;
    };

    World* world_;
    Shape shape_;
    std::function<void(Message)> deliver_;
    std::function<void()> writable_;
    std::optional<Message> waiting_;
    std::deque<Message> unsent_;
    std::size_t unsent_bytes_ = 0;
    std::deque<InFlight> in_flight_;
    Instant last_arrival_{};
    std::optional<Instant> unanswered_since_; ///< while stalled: first transmission that was lost
    bool transmitting_ = false;
    bool stalled_ = false;
    bool cut_ = false;
    Timer transmission_, arrival_, retransmission_;
};

class Connection;

/// One end of a Connection.
class Socket {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void handle_message(MessageKind, Bytes) = 0;
        virtual void handle_written() = 0;
        /// End of file or reset.
        virtual void handle_end() = 0;
    };

    Socket(std::shared_ptr<Connection> connection, bool at_node);
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    ~Socket() { close(); }

    void set_owner(Owner* owner);
    /// False: handle_written() will come.
    bool write(MessageKind, Bytes);
    void close();

private:
    std::shared_ptr<Connection> connection_;
    bool at_node_;
};

/// How a node reaches the network.
class Access {
public:
    Access(World& world, const Shape& up_shape, const Shape& down_shape)
        : up{up_shape}, down{down_shape}, world_{&world}, good_since_{world.true_now()}
    {
    }

    /// The node's.
    [[nodiscard]] const std::shared_ptr<Machine>& machine() const { return machine_; }

    const Shape up, down;

    [[nodiscard]] Duration rtt() const { return up.delay + down.delay; }

    /// Silently loses everything, or refuses at once because there is no route.
    void fail(bool with_an_error);
    void restore();

    [[nodiscard]] bool is_up() const { return up_; }

    [[nodiscard]] bool has_no_route() const { return !up_ && no_route_; }

    /// Since when a node could have known that it can talk; never while it cannot.
    [[nodiscard]] Instant good_since() const { return up_ ? good_since_ : never; }

    void excuse_until(Instant when) { good_since_ = std::max(good_since_, when); }

    void excuse_for(Duration time) { excuse_until(world_->true_now() + time); }

    /// The connections of the node.
    void add(const std::shared_ptr<Connection>& connection);
    [[nodiscard]] std::vector<std::shared_ptr<Connection>> connections();

private:
    World* world_;
    std::shared_ptr<Machine> machine_ = std::make_shared<Machine>();
    bool up_ = true;
    bool no_route_ = false;
    Instant failed_at_{};
    Instant good_since_;
    std::vector<std::weak_ptr<Connection>> connections_;
};

/// A WebSocket connection between a node and the gateway.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(World& world, Access& access);

    struct Learns {
        bool node = true;
        bool gateway = true;
    };

    /// It is over; who does not learn it finds itself alone.
    void reset(Learns);
    void stall();
    Instant resume();

    [[nodiscard]] Instant made_at() const { return made_at_; }

private:
    friend class Socket;

    void deliver(bool to_node, const Pipe::Message&);
    void end(bool at_node);
    void tell_written(bool at_node);

    [[nodiscard]] std::shared_ptr<Machine> machine(bool at_node) const
    {
        return at_node ? machine_ : nullptr;
    }

    World* world_;
    std::shared_ptr<Machine> machine_; ///< the node's
    Instant made_at_;
    Duration delay_;
    Socket::Owner* owners_[2] = {}; ///< gateway, node
    bool closed_[2] = {};
    bool lost_ = false;
    int stalls_ = 0; ///< causes at the moment
    Pipe up_, down_;
    Life life_;
};

} // namespace narrowlink::sim

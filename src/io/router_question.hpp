#pragma once

#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/base/time.hpp"

#include <atomic>
#include <mutex>
#include <optional>

namespace narrowlink::io {

/// One question to the router, asked by a coroutine and answered on a thread of its own. Both hold
/// it.
class RouterQuestion {
public:
    explicit RouterQuestion(const RouterRequest& request);
    RouterQuestion(const RouterQuestion&) = delete;
    RouterQuestion& operator=(const RouterQuestion&) = delete;
    ~RouterQuestion();

    /// The thread's body.
    void answer_it();

    /// Readable once it is answered; owned by the question.
    [[nodiscard]] int answered() const { return answered_fd_; }

    std::optional<RouterAnswer> answer();

    /// Nobody waits for the answer any more.
    void abandon();

private:
    const RouterRequest request_;
    int answered_fd_, abandoned_fd_;
    std::mutex mutex_;
    bool is_abandoned_ = false;
    std::optional<RouterAnswer> answer_;
};

/// A UDP socket to the router, connected: nobody else's answers come in. Not blocking.
class RouterSocket {
public:
    RouterSocket(const IpAddress& router, std::uint16_t port);
    RouterSocket(const RouterSocket&) = delete;
    RouterSocket& operator=(const RouterSocket&) = delete;
    ~RouterSocket();

    [[nodiscard]] int get() const { return descriptor_; }

    /// From which it sends; empty if there is no way to the router.
    [[nodiscard]] std::optional<IpAddress> own_address() const;

private:
    int descriptor_;
    bool is_connected_ = false;
};

/// Waits until `descriptor` is readable. False at `deadline`, and once `abandoned` is readable.
bool wait_readable(int descriptor, int abandoned, Instant deadline);

/// Blocking, with libnatpmp and miniupnpc; PCP has none. They look at `abandoned`, an eventfd,
/// while they wait for datagrams; HTTP has miniupnpc's own limits, some seconds for each read.
std::optional<RouterAnswer> ask_nat_pmp(const RouterRequest& request, int abandoned);
std::optional<RouterAnswer> ask_pcp(const RouterRequest& request, int abandoned);
std::optional<RouterAnswer> ask_upnp(const RouterRequest& request, int abandoned);

} // namespace narrowlink::io

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/survey.hpp"

#include <array>
#include <chrono>
#include <optional>

namespace narrowlink::nat {

/// Numbers of the node's sockets in this survey.
inline constexpr unsigned first_idle_socket = first_sample_socket + sample_sockets;
inline constexpr unsigned idle_sockets = 4;

/// What the node waits between the rounds of this step: Linux lets a UDP mapping live longer once it
/// has been used for more than two seconds (nf_conntrack_udp_timeout_stream), as real ones are.
inline constexpr Duration idle_step_pause = std::chrono::seconds{3};

/// The gateway's side of finding out how long a mapping lives that nobody uses (RFC 4787 §4.3), in one
/// address family; the method is that of RFC 5780 §4.6, with one socket for each time.
///
/// The node probes the main port from four new sockets, twice, and then leaves them alone. After 12,
/// 25, 55 and 115 s the gateway sends one packet to one of them, and the node tells which arrived.
///
/// Contract: as Survey. Takes up to two minutes, and is worth it once a day for each network.
class LifetimeSurvey {
public:
    static constexpr std::array<Duration, idle_sockets> idle_times{
        std::chrono::seconds{12}, std::chrono::seconds{25}, std::chrono::seconds{55},
        std::chrono::seconds{115}};

    explicit LifetimeSurvey(Instant now);

    /// Requires: the probe was authenticated, and is not a replay.
    void handle_probe(Instant now, const Observation& observation);
    /// The node says that the packet has arrived there.
    void handle_alive(Instant now, unsigned socket);
    void handle_timeout(Instant now);

    /// Once.
    [[nodiscard]] std::optional<SurveyStep> poll_request();
    [[nodiscard]] std::optional<Survey::Transmit> poll_transmit();
    /// Nothing before the end; both 0 when none of the probes arrived.
    [[nodiscard]] std::optional<MappingLifetime> result() const { return result_; }
    [[nodiscard]] Instant deadline() const;

private:
    struct Idle {
        enum class State : std::uint8_t {
            unheard, ///< until `due` for the first probe
            idle,    ///< until `due`, then the packet goes out
            sent,    ///< until `due` for the node's word
            alive,
            gone,
        };

        State state = State::unheard;
        Instant due = never;
        SocketAddress mapped{};
    };

    [[nodiscard]] Idle* find(unsigned socket);
    void conclude();

    bool requested_ = false;
    std::array<Idle, idle_sockets> idle_;
    std::deque<Survey::Transmit> transmits_;
    std::optional<MappingLifetime> result_;
};

/// How often something has to be sent so that a mapping of this lifetime stays.
Duration keep_alive_interval(const MappingLifetime& lifetime);

} // namespace narrowlink::nat

#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/classify.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace narrowlink::nat {

/// What the gateway asks a node to do, as one control message: from each of `sockets` sockets,
/// numbered from `first_socket`, one probe to each of `to` in this order, socket by socket; all of
/// it `rounds` times; probes `probe_spacing` apart. Sockets of numbers not used before are new ones
/// with random high local ports, and all stay open until the survey has ended.
struct SurveyStep {
    enum class Purpose : std::uint8_t {
        mapping,    ///< S1
        allocation, ///< twelve sockets
        filtering,  ///< S2; 300 ms after the last probe the node reports what has arrived there
        poisoning,  ///< S2 again, after that
        lifetime,   ///< of LifetimeSurvey: the node tells at once what arrives there later
    };

    Purpose purpose = Purpose::mapping;
    unsigned first_socket = 0;
    unsigned sockets = 1;
    std::vector<GatewaySocket> to;
    unsigned rounds = 1;

    bool operator==(const SurveyStep&) const = default;
};

std::string_view to_string(SurveyStep::Purpose);
std::optional<SurveyStep::Purpose> parse_purpose(std::string_view text);

inline constexpr Duration probe_spacing = std::chrono::milliseconds{5};

/// The gateway's side of the survey of what stands before one node, in one address family.
///
///     mapping ──ports differ──▶ allocation ──▶ filtering ──▶ poisoning ──▶ done, event Finished
///       │  └──────otherwise──────────────────▶     └──nothing to find──────▶
///       └──no UDP, or only to the main port──────────────────────────────▶
///
/// The node sends 12 probes, or 16 if the gateway has a second address (RFC 4787 §4.1, §5), and 48
/// more if its ports differ; the gateway at most 4 packets that were not asked for, and only to
/// where an authenticated probe came from. Besides, its owner answers each probe as always.
///
/// Contract: call handle_*() with non-decreasing `now`; after construction and after each call
/// drain poll_transmit(), poll_request() and poll_event(), then wait until deadline(). What comes
/// at the wrong time, twice or from nowhere is ignored. After Finished nothing happens any more.
class Survey {
public:
    struct Config {
        GatewayPorts gateway;                        ///< at least two on the first address
        std::vector<IpAddress> own_addresses;        ///< see Evidence
        std::vector<std::uint16_t> remembered_ports; ///< see Evidence
        /// For the first probe of a step, and for what is missing if only the main port is reached.
        /// Includes the RTT of the control session.
        Duration silence_limit = std::chrono::seconds{1};
        Duration settle_time = std::chrono::milliseconds{300}; ///< for more after each new probe
        Duration report_limit = std::chrono::seconds{2};       ///< for the filter report
        Duration step_limit = std::chrono::seconds{3};         ///< whatever still arrives
    };

    /// A FILTER packet to send.
    struct Transmit {
        GatewaySocket from;
        SocketAddress to;
    };

    /// The last event.
    struct Finished {
        Behaviour behaviour;
        /// All that were seen, each once, sorted; at most 56. Their ports are to be remembered,
        /// their IP addresses are those of the pool.
        std::vector<SocketAddress> mapped_addresses;
    };

    Survey(Config config, Instant now);

    /// Requires: the probe was authenticated, and is not a replay.
    void handle_probe(Instant now, const Observation& observation);
    void handle_filter_report(Instant now, const FilterReport& report);
    void handle_timeout(Instant now);

    [[nodiscard]] std::optional<Transmit> poll_transmit();
    [[nodiscard]] std::optional<SurveyStep> poll_request();
    [[nodiscard]] std::optional<Finished> poll_event();
    [[nodiscard]] Instant deadline() const;

private:
    using Phase = std::optional<SurveyStep::Purpose>; // nothing: done

    static constexpr unsigned most_filter_rounds = 2;

    [[nodiscard]] bool is_expected(const Observation& observation) const;
    [[nodiscard]] bool is_complete() const;
    [[nodiscard]] bool has_left_main_port() const;
    void enter(Instant now, SurveyStep step);
    void advance(Instant now);
    void ask_for_filtering(Instant now);
    void send_filter_packets(SocketAddress to);
    void finish();

    Config config_;
    Evidence evidence_;
    SurveyStep step_;
    Phase phase_;
    Instant entered_at_{};
    std::optional<Instant> heard_at_; ///< the latest new probe of this step
    std::size_t heard_ = 0;           ///< new probes of this step
    unsigned filter_rounds_ = 0;
    std::deque<Transmit> transmits_;
    std::deque<SurveyStep> requests_;
    std::deque<Finished> events_;
};

} // namespace narrowlink::nat

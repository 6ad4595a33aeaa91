#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/nat/lifetime_survey.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::control {

/// What is worth knowing of a NAT for longer than a session, per node and external address: the ports
/// of its mappings, because one that gives out blocks shows their borders in time, and their lifetime,
/// which takes minutes to find out.
class NatMemory {
public:
    static constexpr std::size_t most_ports = 512;     ///< per node and address
    static constexpr std::size_t most_entries = 4'096; ///< the oldest are forgotten
    static constexpr Duration lifetime_valid_for = std::chrono::hours{24};

    void remember(const std::string& node, const std::vector<SocketAddress>& mapped);
    [[nodiscard]] std::vector<std::uint16_t> ports(const std::string& node,
                                                   const IpAddress& external) const;

    void remember(Instant now, const std::string& node, const IpAddress& external,
                  const nat::MappingLifetime& lifetime);
    /// Nothing when it was never found out, or too long ago.
    [[nodiscard]] std::optional<nat::MappingLifetime>
    lifetime(Instant now, const std::string& node, const IpAddress& external) const;

private:
    using Key = std::pair<std::string, IpAddress>;

    struct Known {
        std::deque<std::uint16_t> ports;
        nat::MappingLifetime lifetime;
        Instant lifetime_until{};
    };

    Known& entry(const Key&);

    std::map<Key, Known> known_;
    std::deque<Key> oldest_;
};

/// What the gateway knows of one node in one address family: where it is seen, and what stands
/// before it. The latter is surveyed when the node is first seen, and again when it is seen
/// elsewhere, not more often than once in `survey_interval`. How long mappings live is found out
/// `lifetime_delay` later, unless it is remembered.
///
/// Contract: after each call drain poll_request(), poll_transmit(), poll_finished() and
/// poll_described(), then wait until deadline().
class NodeView {
public:
    static constexpr Duration survey_interval = std::chrono::minutes{1};
    /// Not while paths are being looked for: its mappings would be in the way.
    static constexpr Duration lifetime_delay = std::chrono::minutes{1};

    struct Config {
        nat::GatewayPorts gateway;
        std::string node; ///< its name in `memory`, over its sessions
        NatMemory* memory = nullptr;
        bool tells_lifetime = false; ///< the node can
    };

    explicit NodeView(Config config) : config_{std::move(config)} {}

    /// The node has told its addresses of this family.
    void handle_own_addresses(Instant now, std::vector<IpAddress> own);

    /// An authentic survey probe that came to `at`, an address of the gateway. `proved`: from where
    /// the node really is; else its source may be forged, and nobody is sent there. Returns whether
    /// the node has moved: it was seen elsewhere before.
    bool handle_probe(Instant now, const nat::Observation& observation, const IpAddress& at,
                      bool proved);
    /// The node gets what is sent to this address.
    void handle_proved(const IpAddress& external);
    void handle_filter_report(Instant now, const nat::FilterReport& report);
    /// A packet of the lifetime step has arrived at this socket of the node.
    void handle_alive(Instant now, unsigned socket);
    /// The node probes addresses of the other family only: that nothing is heard means nothing.
    void expect_nothing();
    void handle_timeout(Instant now);

    [[nodiscard]] std::optional<nat::SurveyStep> poll_request();
    [[nodiscard]] std::optional<nat::Survey::Transmit> poll_transmit();
    /// True once after each survey: behaviour() is new.
    [[nodiscard]] bool poll_finished();
    /// True once whenever there is more to tell of behaviour().
    [[nodiscard]] bool poll_described();
    [[nodiscard]] Instant deadline() const;

    /// Where its main socket is seen from the gateway's main port, once it has proved that.
    [[nodiscard]] const std::optional<SocketAddress>& observed() const { return observed_; }

    /// The gateway's address that it probes.
    [[nodiscard]] const IpAddress& probed() const { return probed_; }

    /// Nothing before the first survey has ended.
    [[nodiscard]] const std::optional<nat::Behaviour>& behaviour() const { return behaviour_; }

    [[nodiscard]] bool is_being_surveyed() const { return survey_.has_value(); }

    /// Its external addresses, as far as they were seen and it has proved them; the observed one
    /// first.
    [[nodiscard]] std::vector<IpAddress> external_addresses() const;

private:
    static constexpr std::size_t most_proved = 64;

    void want_survey(Instant at);
    void begin(Instant now);
    void settle(Instant now);
    void plan_lifetime_survey(Instant now);
    void drop_lifetime_survey();

    Config config_;
    std::vector<IpAddress> own_;
    std::optional<SocketAddress> observed_;
    IpAddress probed_;
    std::optional<nat::Behaviour> behaviour_;
    std::vector<IpAddress> pool_; ///< seen, some perhaps with forged sources
    std::deque<IpAddress> proved_; ///< the oldest first
    std::optional<nat::Survey> survey_;
    std::optional<Instant> surveyed_at_; ///< begin of the latest
    Instant survey_due_ = never;
    std::optional<nat::LifetimeSurvey> lifetime_survey_;
    Instant lifetime_survey_due_ = never;
    bool has_told_ = false; ///< its own addresses
    bool finished_ = false;
    bool described_ = false;
};

} // namespace narrowlink::control

#pragma once

#include "nodes.hpp"

#include <string>

namespace narrowlink::sim {

enum class Fault {
    reset,         ///< a TCP connection ends for both
    reset_at_node, ///< the gateway does not learn it
    reset_at_gateway,
    black_hole, ///< a node's packets vanish
    no_route,   ///< and it is told so
    gateway_killed,
    gateway_without_power,
    agent_killed, ///< comes back as another process
    client_killed,

    // Of direct paths.
    direct_dead,         ///< a black hole between the two sites
    direct_dead_one_way, ///< in one direction
    direct_slow,         ///< late, and of little rate
    direct_lossy,
    direct_flaps,    ///< dead and alive in turns
    direct_narrow,   ///< large packets vanish, in one direction or both
    router_rebooted, ///< it forgets its mappings
    roams,           ///< a node is in another site, with other addresses
    suspended,       ///< a node sleeps, and its clock with it
    stopped,         ///< a node sleeps, and finds that time has passed
};

/// What may happen in the histories of one family. Ranges are drawn from, ends included.
struct Character {
    struct Range {
        std::uint64_t least, most;
    };

    Range agents{1, 1};
    Range clients{1, 1}; ///< per agent
    Range streams{1, 6}; ///< per client
    Range stream_bytes{0, 20'000'000};
    Range access_bytes_per_second{1'500'000, 25'000'000};
    Range delay_ms{1, 50};
    double datagram_streams = 0.1; ///< share
    double slow_streams = 0.15;
    double reset_streams = 0.1;
    double refused_streams = 0.05;
    Duration starts_within = seconds{3};

    double loss = 0, reorder = 0, hiccup = 0.002;
    relay::EgressQueue::Config queue{};

    std::vector<Fault> faults;
    Range fault_count{1, 4};
    Duration faults_within = seconds{10};
    Range outage_ms{0, 30'000};

    std::vector<std::string_view> routers; ///< kinds to draw from; empty: there is no UDP
    double udp_relay = 0; ///< share of histories whose clients are told `relay: udp`

    bool same_pair_ids = false;
    std::uint64_t streams_at_once = 1'024; ///< that an agent allows
    Duration resume_window = minutes{2};

    /// Longer than the gateway's, so that it is the gateway's window that is seen to end.
    [[nodiscard]] Duration agent_patience() const { return 2 * resume_window; }

    /// Without any byte, although the network is there.
    Duration longest_stall = seconds{2};
    Duration longest_history = minutes{30};
};

/// One run of several nodes and a gateway, and the judgement of it.
class History {
public:
    History(std::uint64_t seed, const Character& character);
    ~History();

    /// Empty when all went well, else what did not.
    std::optional<std::string> run();

    [[nodiscard]] std::uint64_t fingerprint() const { return world_.fingerprint(); }

    [[nodiscard]] std::string trace() const { return world_.trace(); }

    struct Measured {
        Duration longest_stall{};
        Duration lasted{};
        std::uint64_t bytes = 0;
        std::uint64_t dropped = 0;
        std::uint64_t upgrades = 0;   ///< to a direct path
        std::uint64_t downgrades = 0; ///< from one, by the client
        std::uint64_t onto_udp_relay = 0;
    };

    [[nodiscard]] const Measured& measured() const { return measured_; }

private:
    struct AgentHost {
        std::unique_ptr<Access> access;
        NodeSettings settings;
        std::unique_ptr<Host> host; ///< where there is UDP
        std::unique_ptr<AgentNode> node;
        Instant good_since{};
    };

    struct ClientHost {
        std::unique_ptr<Access> access;
        NodeSettings settings;
        std::size_t agent;
        std::unique_ptr<Host> host;
        std::unique_ptr<ClientNode> node;
        std::vector<std::uint32_t> conversations;
        bool killed = false;
        unsigned upgrades = 0; ///< that were seen
        /// Since when it uses a direct path to which nothing has happened.
        Instant direct_since = never;
    };

    [[nodiscard]] std::uint64_t draw(Character::Range range);
    std::unique_ptr<Access> make_access();
    Site& make_site(const Access& access);
    std::unique_ptr<Host> make_host(const Access& access);
    void add_agent(std::size_t number);
    void add_client(std::size_t agent, std::size_t number);
    Plan draw_plan(std::uint32_t id);
    void schedule_conversations(std::size_t client);

    void schedule_faults();
    void strike(Fault fault, std::uint64_t victim, Duration outage);
    void break_access(Access& access, bool with_an_error, Duration outage);
    void reset(Access& access, Connection::Learns learns);
    void kill_agent(AgentHost& host, Duration outage);
    void lose_gateway(bool power, Duration outage);
    void strike_direct(Fault fault, std::uint64_t victim, Duration outage);
    void set_trouble(const ClientHost&, const Trouble& forth, const Trouble& back);
    void disturb_direct(const Access& access);
    Host& host_of(std::size_t node);
    void roam(Access& access, std::size_t number);
    void sleep(Access& access, bool clock_stands, Duration outage);
    void watch_direct(ClientHost& client);

    [[nodiscard]] bool is_over() const;
    void look_for_stalls();
    [[nodiscard]] std::string unfinished(const ClientHost& host) const;
    void judge();
    void judge(const ClientHost& host, const Conversation& conversation);
    void wind_up();
    void look_for_leaks_at_gateway();

    Character character_;
    World world_;
    Internet internet_;
    Gateway gateway_;
    std::vector<std::unique_ptr<Site>> sites_;
    Conversations conversations_;
    std::vector<AgentHost> agents_;
    std::vector<ClientHost> clients_;
    std::size_t faults_left_ = 0;
    bool relays_over_udp_ = false;
    Measured measured_;
    Life life_;
};

} // namespace narrowlink::sim

#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/control/error.hpp"
#include "narrowlink/control/message.hpp"

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace narrowlink::control {

using wire::PairHandle;
using wire::SessionId;

/// The gateway's books: who is connected, who may see whom, which pairs exist.
///
/// A pair is kept under user, client's key and PairId, so that no client can get hold of another's
/// by presenting its PairId. It lives until one end releases it or its client has been gone for
/// `resume_window`; sessions come and go meanwhile. While both ends are connected it is *up*: each
/// session has a handle for it and relay messages are forwarded both ways.
///
/// Visibility: a client sees the agents of its own user only. If it has policies, an agent is
/// visible unless some white list of it has no rule that names the agent (or any agent): such an
/// agent could not be used for anything. Black lists hide nothing.
///
/// Contract: after each call drain poll_action(), in order, then wait until deadline(). A session
/// must have been added before it is used; calls for a session that is no longer known do nothing,
/// so that a message and the end of its session may cross.
class Registry {
public:
    struct Config {
        Duration resume_window = std::chrono::minutes{10};
        std::size_t pairs_per_session = 64;            ///< of a client
        std::size_t sessions_per_user = 1'000;         ///< agents and clients together
        std::size_t clientless_pairs_per_user = 1'000; ///< when more, the oldest are given up
    };

    /// A node as its token and its hello describe it.
    struct Node {
        std::string user;
        std::string name;
        std::string token; ///< id of the token it came with, for revoke()
        crypto::Pin key;
        InstanceId instance;
        std::string software;
        std::optional<std::string> address; ///< shown in lists; empty when it is to be hidden
        std::optional<std::string> nat = {}; ///< likewise
        std::optional<std::string> port_mapping = {}; ///< likewise, as the node says
    };

    struct Send {
        SessionId to;
        Message message;
    };

    /// From now on relay messages of `from` with `handle_at_from` go to `to`.
    struct Route {
        SessionId from;
        PairHandle handle_at_from;
        SessionId to;
        PairHandle handle_at_to;
    };

    /// The session has no use for the handle any more, as a sender and as a receiver: remove its
    /// route and what is queued towards it.
    struct Unroute {
        SessionId session;
        PairHandle handle;
    };

    /// End this session; remove() may be called for it or not, as is convenient.
    struct Close {
        SessionId session;
        ClosingReason reason;
        std::string message;
    };

    /// The pair is up: both ends have been told.
    struct PairUp {
        crypto::Pin client_key;
        wire::PairId id;
        SessionId client, agent;
    };

    /// The pair was released.
    struct PairDown {
        crypto::Pin client_key;
        wire::PairId id;
    };

    using Action = std::variant<Send, Route, Unroute, Close, PairUp, PairDown>;

    struct Counts {
        std::size_t agents = 0;
        std::size_t clients = 0;
        std::size_t pairs = 0;
    };

    explicit Registry(Config config);

    /// Takes the place of the user's agent of the same name, whose session is closed as replaced,
    /// and brings up the pairs of that name.
    ///
    /// Requires: a SessionId that was never used before.
    /// Errors: Error::invalid_name, Error::too_many_sessions.
    Result<> add_agent(Instant now, SessionId session, Node node);

    /// Errors: as add_agent(), and Error::policies_too_large.
    Result<> add_client(Instant now, SessionId session, Node node,
                        std::vector<access::Policy> policies);

    /// What stands before this node, for lists.
    void describe_nat(SessionId session, std::string text);

    /// The session has ended. Its pairs are interrupted.
    void remove(Instant now, SessionId session);

    /// List, Introduce and Release; other messages do nothing.
    void handle(Instant now, SessionId session, const Message& message);

    /// Ends a session. When the node's right to be here has ended (revoked, expired, unauthorized)
    /// its pairs are released, because the two ends may meanwhile talk without us; otherwise they
    /// are interrupted.
    void close(Instant now, SessionId session, ClosingReason reason, std::string message);

    /// Closes every session of a token as revoked and releases its pairs, also those whose client
    /// is not connected at the moment.
    void revoke(Instant now, std::string_view token);

    void handle_timeout(Instant now);

    [[nodiscard]] std::optional<Action> poll_action();
    [[nodiscard]] Instant deadline() const;
    [[nodiscard]] Counts counts() const;

private:
    struct PairKey {
        std::string user;
        crypto::Pin client_key;
        wire::PairId id;

        auto operator<=>(const PairKey&) const = default;
    };

    struct Pair {
        std::string agent; ///< by name: sessions of it come and go
        std::string token; ///< the client's
        std::optional<SessionId> client;

        /// Both ends' sessions and handles, while the pair is up.
        struct Up {
            SessionId client;
            PairHandle client_handle;
            SessionId agent;
            PairHandle agent_handle;
        };

        std::optional<Up> up;
        std::uint64_t introduce_id = 0; ///< to be refused if the agent does not come
        Instant expires_at = never;
    };

    struct Session {
        Role role = Role::agent;
        Node node;
        Instant since{};
        std::vector<access::Policy> policies = {}; ///< of a client
        std::set<PairKey> pairs = {};              ///< of a client: those it holds
        std::uint32_t next_handle = 1;
    };

    struct AgentName {
        std::optional<SessionId> session;
        std::set<PairKey> pairs;
    };

    struct User {
        std::size_t sessions = 0;
        std::map<std::string, AgentName, std::less<>> agents; ///< connected or with pairs
        std::set<std::pair<Instant, PairKey>> clientless;     ///< oldest first
    };

    enum class PairEnd { interrupted, released };

    Session* find_session(SessionId session);
    std::optional<SessionId> find_agent(const std::string& user, std::string_view name) const;
    [[nodiscard]] Result<> check_admission(const Node& node, bool replaces) const;
    void insert_session(SessionId id, Session session);
    void drop_session(Instant now, SessionId id, PairEnd end);
    void replace_agent(SessionId older);
    void drop_pairs_of_agent(SessionId id, const Session& session, PairEnd end);
    void drop_pairs_of_client(Instant now, SessionId id, const Session& session, PairEnd end);
    void forget_if_empty(const std::string& user, const std::string& agent);

    static void describe_port_mapping(Node&, const std::optional<MappedPort>&);
    void handle_list(Instant now, SessionId id, const Session& client, const List& message);
    void handle_introduce(Instant now, SessionId id, Session& client, const Introduce& message);
    void handle_release(SessionId id, const Session& session, const Release& message);
    void attach_client(SessionId id, Session& client, const PairKey& key, Pair& pair);
    void refuse(SessionId id, const Introduce& message, RefusalReason reason);

    void bring_up(const PairKey& key, Pair& pair, SessionId agent_id);
    void take_down(Pair& pair);
    /// Erases the pair after telling each end that is connected, except `teller`.
    void release(PairKey key, std::optional<SessionId> teller);
    void set_expiry(const PairKey& key, Pair& pair, Instant expires_at);
    void make_clientless(Instant now, const PairKey& key, Pair& pair);
    void send(SessionId to, Message message);

    Config config_;
    std::map<SessionId, Session> sessions_;
    std::map<std::string, User, std::less<>> users_;
    std::map<PairKey, Pair> pairs_;
    std::set<std::pair<Instant, PairKey>> expiries_;
    std::deque<Action> actions_;
};

} // namespace narrowlink::control

#pragma once

#include "conversation.hpp"
#include "direct_node.hpp"
#include "relay_node.hpp"

#include <list>

namespace narrowlink::sim {

/// Who a node is, in every history the same: making keys costs time.
struct Person {
    std::shared_ptr<const quic::Credentials> credentials;
    crypto::Pin pin;
};

const Person& person(std::size_t number);

struct NodeSettings {
    const Person* person;
    Claims claims;
    path::Pair::Config pair;
    Host* host = nullptr; ///< for direct paths; nothing: relay over WebSocket only
    bool relays_over_udp = false;
};

/// Plays agent::Agent and what it dials.
class AgentNode final : RelayNode::Owner, direct::Node::Owner {
public:
    AgentNode(World& world, Gateway& gateway, Access& access, NodeSettings settings,
              Conversations& conversations);
    ~AgentNode() override;

    [[nodiscard]] std::size_t pairs() const { return pairs_.size(); }

    /// The host has other addresses than before.
    void handle_network_changed();

    /// When the process had its first session; never before.
    [[nodiscard]] Instant connected_at() const { return connected_at_; }

    [[nodiscard]] unsigned sessions_lost() const { return node_.sessions_lost(); }

    /// nullptr without a host.
    [[nodiscard]] const DirectNode* direct() const { return direct_.get(); }

private:
    class ServedPair;

    struct PairKey {
        crypto::Pin client;
        wire::PairId id;

        auto operator<=>(const PairKey&) const = default;
    };

    void handle_session(const control::NodeSession::Established&) override
    {
        connected_at_ = std::min(connected_at_, world_.true_now());
    }

    void handle_session_event(const control::NodeSession::Event&) override;
    void handle_direct_event(const control::NodeSession::Event&);

    void handle_meeting_due(direct::CarriedPair&) override {} // the client asks

    void handle_survey_answer(const control::SurveyAnswer&) override;

    void handle_punched(direct::CarriedPair&, std::uint32_t, bool) override {} // the client tells

    void handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened&) override;

    void wake(std::optional<path::CarrierKind> kind);
    void introduce(const control::Introduction&);
    ServedPair* find(const wire::PairId&, const std::optional<crypto::Pin>& client);
    void reap();

    World& world_;
    NodeSettings settings_;
    Conversations& conversations_;
    std::map<PairKey, std::unique_ptr<ServedPair>> pairs_;
    Instant connected_at_ = never;
    RelayNode node_;
    std::unique_ptr<DirectNode> direct_;
    Life life_;
};

/// Plays client::ClientNode with its AgentLink, and the applications in front of it.
class ClientNode final : RelayNode::Owner, direct::Node::Owner {
public:
    ClientNode(World& world, Gateway& gateway, Access& access, NodeSettings settings,
               std::string agent, std::optional<wire::PairId> first_pair_id);
    ~ClientNode() override;

    /// Opens a stream as soon as the agent can be reached.
    void open(Conversation& conversation);

    /// The end of the command: gives the pair back.
    void close();

    /// The host has other addresses than before.
    void handle_network_changed();

    [[nodiscard]] unsigned sessions_lost() const { return node_.sessions_lost(); }

    /// nullptr without a host.
    [[nodiscard]] const DirectNode* direct() const { return direct_.get(); }

    /// Why there is no direct path, as the user is told; empty without a pair.
    [[nodiscard]] std::string obstacle() const;

    /// The carrier in use; nothing where there is none, or no pair.
    [[nodiscard]] std::optional<path::CarrierKind> path() const;

    /// Changes to a direct carrier on which the agent has answered, and away from one.
    [[nodiscard]] unsigned upgrades() const { return upgrades_; }

    [[nodiscard]] unsigned downgrades() const { return downgrades_; }

    [[nodiscard]] unsigned onto_udp_relay() const { return onto_udp_relay_; }

private:
    class AgentConnection;

    void handle_session(const control::NodeSession::Established&) override;

    void handle_session_lost() override { introducing_ = false; }

    void handle_session_event(const control::NodeSession::Event&) override;
    void handle_direct_event(const control::NodeSession::Event&);
    void handle_meeting_due(direct::CarriedPair&) override;
    void handle_survey_answer(const control::SurveyAnswer&) override;
    void handle_punched(direct::CarriedPair&, std::uint32_t attempt, bool opened) override;
    void handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened&) override;
    void wake(std::optional<path::CarrierKind> kind);
    void handle_introduced(const control::Introduced&);
    void introduce();
    void retire();
    void close_pair();
    void open_pending();
    void finish(Talk& talk);

    World& world_;
    NodeSettings settings_;
    std::string agent_;
    RelayNode node_;
    std::unique_ptr<DirectNode> direct_;
    std::optional<path::CarrierKind> path_;
    unsigned upgrades_ = 0, downgrades_ = 0, onto_udp_relay_ = 0;
    wire::PairId pair_id_;
    bool pair_existed_ = false;
    bool introducing_ = false;
    bool closing_ = false;
    std::optional<control::InstanceId> instance_;
    std::shared_ptr<AgentConnection> connection_;
    std::deque<Conversation*> pending_;
    std::list<std::unique_ptr<Talk>> talks_;
    Life life_;
};

} // namespace narrowlink::sim

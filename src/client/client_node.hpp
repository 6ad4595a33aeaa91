#pragma once

#include "agent_link.hpp"

#include "narrowlink/client/client.hpp"

#include <optional>
#include <string>

namespace narrowlink::client {

/// The client's session with its gateway and, where a command needs one, its link to an agent.
class ClientNode final : drive::RelayNode::Owner, drive::DirectNode::Owner {
public:
    ClientNode(net::any_io_executor executor, Settings settings, Random& random);

    /// Before run(): from now on the node keeps an introduction to this agent.
    AgentLink& link_to(const std::string& agent);

    /// Runs `command` beside the session; ends when the command ends or the session cannot be had.
    net::awaitable<void> run(net::awaitable<void> command);

    /// For commands: waits for the session. Throws Failure at `deadline`.
    net::awaitable<control::NodeSession::Established> established(Instant deadline);
    net::awaitable<std::vector<control::Agent>> list(Instant deadline);

    [[nodiscard]] const Settings& settings() const { return settings_; }

private:
    void handle_session(const control::NodeSession::Established&) override;
    void handle_session_lost(const std::string& sentence, Duration wait) override;
    void handle_session_event(const control::NodeSession::Event&) override;
    void handle_meeting_due(direct::CarriedPair&) override;
    void handle_survey_answer(const control::SurveyAnswer&) override;
    void handle_addresses_changed() override;
    void handle_punched(direct::CarriedPair&, std::uint32_t attempt, bool opened) override;

    net::awaitable<void> run_node();
    net::awaitable<void> run_command(net::awaitable<void> command);
    net::awaitable<void> watch_session();
    net::awaitable<void> answer_status();

    net::any_io_executor executor_;
    Settings settings_;
    Random* random_;
    drive::RelayNode node_;
    drive::DirectNode direct_;
    drive::Notice changed_;
    io::Event session_ended_;
    std::exception_ptr session_failure_;
    std::string last_trouble_;
    Instant repeat_trouble_at_{};
    std::optional<AgentLink> link_;
    std::optional<control::NodeSession::Established> established_;
    std::optional<control::NodeSession::AgentList> list_;
};

} // namespace narrowlink::client

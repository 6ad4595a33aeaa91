#pragma once

#include "doctor.hpp"
#include "narrowlink/client/client.hpp"
#include "narrowlink/drive/direct_node.hpp"
#include "narrowlink/drive/notice.hpp"
#include "narrowlink/drive/relay_node.hpp"

#include <optional>
#include <string>

namespace narrowlink::client {

/// A session with the gateway as `forward` has one, but without a pair: only to see how far it
/// gets, and what the gateway finds out about UDP and NATs.
class DoctorSession final : drive::RelayNode::Owner, drive::DirectNode::Owner {
public:
    /// `random` and `facts` must outlive it.
    DoctorSession(net::any_io_executor executor, const Settings& settings, Random& random,
                  DoctorFacts& facts);

    /// Fills `session` and `probed` of the facts; takes some seconds.
    net::awaitable<void> run();

    /// Where the session has gone to.
    [[nodiscard]] const std::optional<SocketAddress>& gateway() const { return gateway_; }

private:
    void handle_session(const control::NodeSession::Established&) override;
    void handle_session_lost(const std::string& sentence, Duration wait) override;
    void handle_session_event(const control::NodeSession::Event&) override;

    void handle_meeting_due(direct::CarriedPair&) override {}

    void handle_survey_answer(const control::SurveyAnswer&) override;
    void handle_addresses_changed() override;

    void handle_punched(direct::CarriedPair&, std::uint32_t, bool) override {}

    net::awaitable<void> keep_session();
    net::awaitable<void> observe();
    /// False at the deadline.
    net::awaitable<bool> changed_until(Instant deadline);
    void begin_probing(const control::Observe&);
    void note_answers();
    [[nodiscard]] bool is_surveyed() const;

    [[nodiscard]] bool has_ended() const { return !facts_->session->trouble.empty(); }

    net::any_io_executor executor_;
    DoctorFacts* facts_;
    std::uint16_t gateway_port_;
    drive::RelayNode node_;
    drive::DirectNode direct_;
    drive::Notice changed_;
    bool is_established_ = false;
    std::optional<SocketAddress> gateway_;
};

} // namespace narrowlink::client

#pragma once

#include "model_nat.hpp"
#include "narrowlink/nat/survey.hpp"

#include <map>
#include <optional>
#include <utility>

namespace narrowlink::nat::model {

using namespace std::chrono_literals;

constexpr Instant start{1'000h};
constexpr GatewayPorts one_address{.first = 4, .second = 0};
constexpr GatewayPorts two_addresses{.first = 4, .second = 2};

inline SocketAddress address_of(GatewaySocket socket)
{
    return address(socket.address == 0 ? "198.51.100.2" : "198.51.100.3",
                   socket.port == 0 ? 443 : static_cast<std::uint16_t>(4'433 + socket.port));
}

/// A survey and the node it asks, with a model NAT between them and an RTT of 20 ms.
class SurveyRun {
public:
    struct Outcome {
        Survey::Finished finished;
        Duration took{};
        unsigned probes = 0;
        unsigned filter_packets = 0;
    };

    SurveyRun(const Recipe& recipe, std::uint32_t seed, GatewayPorts gateway, unsigned loss = 0)
        : nat_{recipe, seed}
        , loss_percent_{loss}
        , survey_{{.gateway = gateway, .own_addresses = {nat_.host()}}, start}
    {
    }

    /// Nothing if the survey does not end.
    std::optional<Outcome> run()
    {
        Outcome outcome;
        for (int turn = 0; turn < 100; ++turn) {
            if (auto finished = survey_.poll_event()) {
                outcome.finished = std::move(*finished);
                outcome.took = now_ - start;
                return outcome;
            }
            if (const auto request = survey_.poll_request())
                follow(*request, outcome);
            else
                wait_until(survey_.deadline());
        }
        return std::nullopt;
    }

private:
    void wait_until(Instant time)
    {
        now_ = std::max(now_, time);
        survey_.handle_timeout(now_);
    }

    bool is_lost() { return nat_.below(100) < loss_percent_; }

    void follow(const SurveyStep& step, Outcome& outcome)
    {
        now_ += 20ms;
        FilterReport report{.answered = false};
        for (unsigned round = 0; round < step.rounds; ++round)
            for (unsigned socket = 0; socket < step.sockets; ++socket)
                for (const GatewaySocket to : step.to)
                    send(step.first_socket + socket, to, report, outcome);
        if (step.purpose != SurveyStep::Purpose::filtering)
            return;
        now_ += 300ms;
        survey_.handle_filter_report(now_, report);
    }

    void send(unsigned socket, GatewaySocket to, FilterReport& report, Outcome& outcome)
    {
        now_ += probe_spacing;
        ++outcome.probes;
        const std::uint16_t port = local_port(socket);
        const auto seen = nat_.send(port, address_of(to));
        if (!seen || is_lost())
            return;
        survey_.handle_probe(
            now_, {.socket = socket, .local_port = port, .at = to, .seen = *seen, .ttl = 59});
        report.answered |= !is_lost() && nat_.receive(address_of(to), *seen, port);
        while (const auto transmit = survey_.poll_transmit()) {
            ++outcome.filter_packets;
            const bool came =
                !is_lost() && nat_.receive(address_of(transmit->from), transmit->to, port);
            (transmit->from.address == 0 ? report.from_port : report.from_address) |= came;
        }
    }

    std::uint16_t local_port(unsigned socket)
    {
        const auto known = local_ports_.find(socket);
        if (known != local_ports_.end())
            return known->second;
        const auto port = static_cast<std::uint16_t>(32'768 + nat_.below(28'000));
        return local_ports_.emplace(socket, port).first->second;
    }

    Nat nat_;
    unsigned loss_percent_;
    Instant now_ = start;
    Survey survey_;
    std::map<unsigned, std::uint16_t> local_ports_;
};

inline Behaviour surveyed(std::string_view name, GatewayPorts gateway, std::uint32_t seed = 1)
{
    return SurveyRun{recipe(name), seed, gateway}.run().value().finished.behaviour;
}

} // namespace narrowlink::nat::model

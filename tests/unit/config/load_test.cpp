#include "narrowlink/config/agent_config.hpp"
#include "narrowlink/config/client_config.hpp"
#include "narrowlink/config/gateway_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

template <class Config>
std::vector<std::string> complaints(const Outcome<Config>& outcome)
{
    std::vector<std::string> lines;
    if (const auto* problems = std::get_if<std::vector<Problem>>(&outcome))
        for (const Problem& problem : *problems)
            lines.push_back(to_string(problem));
    return lines;
}

template <class Config>
Config config_of(Outcome<Config> outcome)
{
    EXPECT_THAT(complaints(outcome), IsEmpty());
    if (auto* config = std::get_if<Config>(&outcome))
        return std::move(*config);
    return {};
}

// --- the gateway

GatewayConfig gateway(std::string_view text)
{
    return config_of(load_gateway_config(text, "gateway.yaml"));
}

TEST(GatewayConfig, OfAnEmptyFileIsTheDefault)
{
    EXPECT_EQ(gateway(""), GatewayConfig{});
    EXPECT_EQ(gateway("# nothing but a comment\n"), GatewayConfig{});
}

TEST(GatewayConfig, HasShortcutsForTheUsualServices)
{
    const auto config = gateway("listen: 0.0.0.0:8443\n"
                                "listen_plain: 127.0.0.1:8080\n");
    ASSERT_EQ(config.services.size(), 2U);
    const auto& wss = std::get<WssService>(config.services[0]);
    EXPECT_EQ(to_string(wss.listen.value), "0.0.0.0:8443");
    EXPECT_EQ(wss.listen.where, "gateway.yaml:1:9: listen");
    EXPECT_TRUE(std::holds_alternative<SelfSigned>(wss.tls));
    EXPECT_EQ(to_string(std::get<WsService>(config.services[1]).listen.value), "127.0.0.1:8080");
}

TEST(GatewayConfig, ReadsServicesInFull)
{
    const auto config = config_of(load_gateway_config("services:\n"
                                                      "  - !Wss\n"
                                                      "    listen_addr: 0.0.0.0:443\n"
                                                      "    domains: [a.example, b.example]\n"
                                                      "    tls_config: !File\n"
                                                      "      cert_path: cert.pem\n"
                                                      "      key_path: /keys/key.pem\n"
                                                      "  - !Wss\n"
                                                      "    listen_addr: 0.0.0.0:8443\n"
                                                      "    tls_config: !SelfSigned\n"
                                                      "  - !Ws {listen_addr: \"[::1]:80\"}\n",
                                                      "/etc/gateway.yaml"));
    ASSERT_EQ(config.services.size(), 3U);
    const auto& first = std::get<WssService>(config.services[0]);
    EXPECT_THAT(first.domains, ElementsAre("a.example", "b.example"));
    const auto& files = std::get<CertificateFiles>(first.tls);
    EXPECT_EQ(files.certificate.value, "/etc/cert.pem");
    EXPECT_EQ(files.certificate.where, "/etc/gateway.yaml:6:18: services[0].tls_config.cert_path");
    EXPECT_EQ(files.key.value, "/keys/key.pem");
    EXPECT_TRUE(std::holds_alternative<SelfSigned>(std::get<WssService>(config.services[1]).tls));
    EXPECT_TRUE(std::holds_alternative<WsService>(config.services[2]));
}

TEST(GatewayConfig, ReadsEveryOtherKey)
{
    const auto config = gateway("state: /var/lib/x\n"
                                "public: Gateway.Example:443\n"
                                "secret_path: /etc/secret\n"
                                "trusted_proxies: [10.0.0.0/8]\n"
                                "threads: 3\n"
                                "site: /var/www\n"
                                "resume_window: 30s\n"
                                "limits:\n"
                                "  connections: 1\n"
                                "  unauthenticated: 2\n"
                                "  unauthenticated_per_address: 3\n"
                                "  connections_per_second_per_address: 4\n"
                                "  sessions_per_user: 5\n"
                                "  pairs_per_client: 6\n"
                                "  queue_time: 7ms\n"
                                "  queue_most: 8MiB\n"
                                "  handshake_timeout: 9s\n"
                                "  messages_per_second: 10\n"
                                "log: {level: debug, format: json}\n");
    EXPECT_EQ(config.state->value, "/var/lib/x");
    EXPECT_EQ(config.public_address->value, (HostPort{"gateway.example", 443}));
    EXPECT_EQ(config.public_address->where, "gateway.yaml:2:9: public");
    EXPECT_EQ(config.secret->value, "/etc/secret");
    EXPECT_EQ(config.trusted_proxies.size(), 1U);
    EXPECT_EQ(config.threads, 3U);
    EXPECT_EQ(config.site->value, "/var/www");
    EXPECT_EQ(config.resume_window, Duration{30s});
    EXPECT_EQ(config.limits, (GatewayLimits{1, 2, 3, 4, 5, 6, 7ms, 8'388'608, 9s, 10}));
    EXPECT_EQ(config.log, (LogConfig{LogLevel::debug, LogFormat::json}));
}

TEST(GatewayConfig, NamesEachMistakeAndItsPlace)
{
    EXPECT_THAT(
        complaints(load_gateway_config("listen: 443\n"
                                       "services:\n"
                                       "  - !Wss {listen_addr: \"0.0.0.0:443\", tls: x}\n"
                                       "  - !Ws {}\n"
                                       "  - {listen_addr: \"0.0.0.0:1\"}\n"
                                       "  - !Wss\n"
                                       "    listen_addr: 0.0.0.0:2\n"
                                       "    tls_config: !File {cert_path: a}\n"
                                       "  - !Wss\n"
                                       "    listen_addr: 0.0.0.0:3\n"
                                       "    tls_config: !Acme {email: a}\n"
                                       "limits:\n"
                                       "  connections: 0\n"
                                       "secret: x\n",
                                       "gateway.yaml")),
        ElementsAre("gateway.yaml:1:9: listen: expected ADDRESS:PORT such as \"0.0.0.0:443\" "
                    "or \"[::]:443\"",
                    "gateway.yaml:3:39: services[0].tls: unknown key",
                    "gateway.yaml:4:5: services[1].listen_addr: is required",
                    "gateway.yaml:5:5: services[2]: expected !Wss or !Ws before the section",
                    "gateway.yaml:8:17: services[3].tls_config.key_path: is required",
                    "gateway.yaml:11:17: services[4].tls_config: unknown tag !Acme; expected "
                    "!File or !SelfSigned",
                    "gateway.yaml:13:16: limits.connections: expected a whole number from 1 "
                    "to 1000000",
                    "gateway.yaml:14:1: secret: unknown key"));
}

// --- the agent and the client

constexpr std::string_view pin = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

TEST(AgentConfig, OfAnEmptyFileIsTheDefault)
{
    EXPECT_EQ(config_of(load_agent_config("", "agent.yaml")), AgentConfig{});
}

TEST(AgentConfig, TakesAJoinStringAsItIs)
{
    const auto config = config_of(load_agent_config("join: nl1.abc\n", "agent.yaml"));
    EXPECT_EQ(config.membership.join->value, "nl1.abc");
    EXPECT_EQ(config.membership.join->where, "agent.yaml:1:7: join");
}

TEST(AgentConfig, ReadsEveryOtherKey)
{
    const std::string text = "endpoints:\n"
                             "  - !SelfHosted\n"
                             "    gateway: gateway.example:443\n"
                             "    token: abc\n"
                             "    pin: " +
                             std::string{pin} +
                             "\n"
                             "  - !SelfHosted {gateway: \"b:80\", token: def, protocol: Ws}\n"
                             "state: /state\n"
                             "connect_timeout: 3s\n"
                             "limits: {streams: 4, receive_buffer: 5MiB}\n"
                             "resume_window: 1h\n"
                             "congestion_control: cubic\n"
                             "log: {level: warning}\n";
    const auto config = config_of(load_agent_config(text, "agent.yaml"));
    ASSERT_EQ(config.membership.endpoints.size(), 2U);
    const Endpoint& first = config.membership.endpoints[0];
    EXPECT_EQ(first.gateway.value, (HostPort{"gateway.example", 443}));
    EXPECT_EQ(first.token.value, "abc");
    EXPECT_EQ(first.token.where, "agent.yaml:4:12: endpoints[0].token");
    EXPECT_EQ(first.pin, pin);
    EXPECT_EQ(first.protocol, Endpoint::Protocol::wss);
    EXPECT_EQ(config.membership.endpoints[1].protocol, Endpoint::Protocol::ws);
    EXPECT_EQ(config.state->value, "/state");
    EXPECT_EQ(config.connect_timeout, Duration{3s});
    EXPECT_EQ(config.limits, (AgentLimits{4, 5'242'880}));
    EXPECT_EQ(config.resume_window, Duration{1h});
    EXPECT_EQ(config.congestion_control, CongestionControl::cubic);
    EXPECT_EQ(config.log.level, LogLevel::warning);
}

TEST(AgentConfig, NamesEachMistakeAndItsPlace)
{
    EXPECT_THAT(
        complaints(load_agent_config("join: ''\n"
                                     "endpoints:\n"
                                     "  - !SelfHosted {gateway: g, policies: [x], pin: c2hvcnQ}\n"
                                     "  - !Hosted {}\n"
                                     "name: home\n",
                                     "agent.yaml")),
        ElementsAre("agent.yaml:1:7: join: must not be empty",
                    "agent.yaml:3:3: endpoints: a join string already says this; remove one of "
                    "`join` and `endpoints`",
                    "agent.yaml:3:5: endpoints[0].token: is required",
                    "agent.yaml:3:27: endpoints[0].gateway: expected HOST:PORT such as "
                    "\"gateway.example:443\"",
                    "agent.yaml:3:30: endpoints[0].policies: unknown key",
                    "agent.yaml:3:50: endpoints[0].pin: expected 43 characters of base64url, as in "
                    "the gateway's join line",
                    "agent.yaml:4:5: endpoints[1]: unknown tag !Hosted; expected !SelfHosted",
                    "agent.yaml:5:1: name: unknown key"));
}

TEST(ClientConfig, HasPoliciesBesideItsToken)
{
    const auto config = config_of(
        load_client_config("endpoints:\n"
                           "  - !SelfHosted {gateway: \"g:443\", token: a, policies: [b, c]}\n"
                           "connect_timeout: 3s\n"
                           "congestion_control: cubic\n"
                           "state: s\n",
                           "client.yaml"));
    ASSERT_EQ(config.membership.endpoints.size(), 1U);
    ASSERT_EQ(config.membership.endpoints[0].policies.size(), 2U);
    EXPECT_EQ(config.membership.endpoints[0].policies[1].value, "c");
    EXPECT_EQ(config.connect_timeout, Duration{3s});
    EXPECT_EQ(config.congestion_control, CongestionControl::cubic);
    EXPECT_EQ(config.state->value, "s");
}

TEST(ClientConfig, OfAnEmptyFileIsTheDefault)
{
    EXPECT_EQ(config_of(load_client_config("", "client.yaml")), ClientConfig{});
}

// --- the examples in configs/

std::string example(const std::string& role)
{
    const std::ifstream file{std::string{NARROWLINK_SOURCE_DIR} + "/configs/" + role + ".yaml"};
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_FALSE(text.str().empty());
    return text.str();
}

/// The example with every setting in force: `#key:` and `#  key:` lose their `#`, prose keeps it.
std::string in_force(const std::string& text, const std::string& except)
{
    std::istringstream lines{text};
    std::string result;
    for (std::string line; std::getline(lines, line);) {
        const bool is_setting = line.size() > 1 && line[0] == '#' &&
                                (line[1] != ' ' || line.substr(0, 3) == "#  ") &&
                                !line.starts_with("#" + except + ":");
        result += (is_setting ? line.substr(1) : line) + "\n";
    }
    return result;
}

bool mentions(const std::string& text, const std::string& key)
{
    const std::string last = key.substr(key.rfind('.') + 1) + ":";
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        line.erase(0, line.find_first_not_of("# "));
        if (line.starts_with(last))
            return true;
    }
    return false;
}

TEST(ExampleConfig, OfTheGatewayLoadsAndShowsTheDefaults)
{
    EXPECT_EQ(gateway(example("gateway")), GatewayConfig{});
    const auto config = gateway(in_force(example("gateway"), "nothing"));
    EXPECT_EQ(config.services.size(), 4U);
    EXPECT_EQ(config.limits, GatewayLimits{});
}

TEST(ExampleConfig, OfTheAgentLoadsAndShowsTheDefaults)
{
    EXPECT_EQ(config_of(load_agent_config(example("agent"), "a")), AgentConfig{});
    const auto config = config_of(load_agent_config(in_force(example("agent"), "join"), "a"));
    EXPECT_EQ(config.membership.endpoints.size(), 1U);
}

TEST(ExampleConfig, OfTheClientLoadsAndShowsTheDefaults)
{
    EXPECT_EQ(config_of(load_client_config(example("client"), "c")), ClientConfig{});
    const auto config = config_of(load_client_config(in_force(example("client"), "join"), "c"));
    EXPECT_EQ(config.membership.endpoints.size(), 1U);
}

TEST(ExampleConfig, MentionsEveryKey)
{
    const std::map<std::string, std::set<std::string>> roles = {
        {"gateway", gateway_config_keys()},
        {"agent", agent_config_keys()},
        {"client", client_config_keys()},
    };
    for (const auto& [role, keys] : roles) {
        EXPECT_GT(keys.size(), 9U);
        const std::string text = example(role);
        for (const std::string& key : keys)
            EXPECT_TRUE(mentions(text, key)) << role << ".yaml lacks " << key;
    }
}

} // namespace
} // namespace narrowlink::config

#include "narrowlink/gateway/command_line.hpp"

#include "../program/ending.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

namespace narrowlink::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

CommandLine parse(std::vector<const char*> words)
{
    return test::parsed(parse_command_line, std::move(words));
}

access::Rule rule_of(const char* text)
{
    const CommandLine line = parse({"token", "policy", "--name", "p", "--rule", text});
    return std::get<IssueCommand>(line.command).policy.rules.at(0);
}

TEST(CommandLine, RunsTheGatewayWithoutACommand)
{
    const CommandLine line = parse({});
    const auto& run = std::get<RunCommand>(line.command);
    EXPECT_FALSE(run.listen || run.public_address);
    EXPECT_FALSE(line.common.config || line.common.state);
}

TEST(CommandLine, TakesAddressesForRunning)
{
    const CommandLine line = parse({"--listen", "[::1]:8443", "--public", "Gateway.Example:443"});
    const auto& run = std::get<RunCommand>(line.command);
    EXPECT_EQ(run.listen, (SocketAddress{*IpAddress::parse("::1"), 8443}));
    EXPECT_EQ(run.public_address, (HostPort{"gateway.example", 443}));
}

TEST(CommandLine, TakesCommonOptionsBeforeAndBehindTheCommand)
{
    for (const auto& words :
         {std::vector{"--state", "/s", "-c", "f.yaml", "--log-level", "debug", "token", "list"},
          std::vector{"token", "list", "--state", "/s", "-c", "f.yaml", "--log-level", "debug"}}) {
        const CommandLine line = parse(words);
        EXPECT_TRUE(std::holds_alternative<ListTokensCommand>(line.command));
        EXPECT_EQ(line.common.state, "/s");
        EXPECT_EQ(line.common.config, "f.yaml");
        EXPECT_EQ(line.common.log.level, "debug");
    }
}

TEST(CommandLine, TakesThePublicAddressForOneJoinString)
{
    const CommandLine line = parse({"token", "agent", "--name", "home", "--public", "lan.example:8443"});
    EXPECT_EQ(std::get<IssueCommand>(line.command).public_address, (HostPort{"lan.example", 8443}));
}

TEST(CommandLine, IssuesAgentTokensWithDefaults)
{
    const CommandLine line = parse({"token", "agent", "--name", "home"});
    const auto& issue = std::get<IssueCommand>(line.command);
    EXPECT_EQ(issue.kind, access::TokenKind::agent);
    EXPECT_EQ(issue.name, "home");
    EXPECT_EQ(issue.user, "default");
    EXPECT_EQ(issue.expires_after, 24h * 90);
}

TEST(CommandLine, IssuesClientTokensBoundToPolicies)
{
    const CommandLine line = parse({"token", "client", "--name", "me", "--user", "alice",
                                    "--expires", "12h", "--policy", "p.1", "--policy", "p.2"});
    const auto& issue = std::get<IssueCommand>(line.command);
    EXPECT_EQ(issue.kind, access::TokenKind::client);
    EXPECT_EQ(issue.user, "alice");
    EXPECT_EQ(issue.expires_after, 12h);
    EXPECT_EQ(issue.policy_tokens, (std::vector<std::string>{"p.1", "p.2"}));
}

TEST(CommandLine, IssuesPolicies)
{
    const CommandLine line =
        parse({"token", "policy", "--name", "p", "--id", "9007199254740991", "--type", "black",
               "--rule", "ip:10.0.0.0/8", "--rule", "domain:*"});
    const auto& issue = std::get<IssueCommand>(line.command);
    EXPECT_EQ(issue.kind, access::TokenKind::policy);
    EXPECT_EQ(issue.policy.id, 9'007'199'254'740'991U);
    EXPECT_EQ(issue.policy.type, access::Policy::Type::black_list);
    EXPECT_EQ(issue.policy.rules.size(), 2U);
    const CommandLine white = parse({"token", "policy", "--name", "p", "--rule", "domain:*"});
    EXPECT_EQ(std::get<IssueCommand>(white.command).policy.type, access::Policy::Type::white_list);
    EXPECT_EQ(std::get<IssueCommand>(white.command).policy.id, 0U) << "a random one, later";
}

TEST(CommandLine, ListsAndRevokes)
{
    EXPECT_FALSE(std::get<ListTokensCommand>(parse({"token", "list"}).command).json);
    EXPECT_TRUE(std::get<ListTokensCommand>(parse({"token", "list", "--json"}).command).json);
    EXPECT_EQ(std::get<RevokeCommand>(parse({"token", "revoke", "abc"}).command).id, "abc");
}

TEST(Rule, NamesAnAddressBlockOrADomain)
{
    EXPECT_EQ(
        rule_of("ip:10.0.0.0/8"),
        (access::Rule{
            .agent = {}, .target = *IpPrefix::parse("10.0.0.0/8"), .port = {}, .protocol = {}}));
    EXPECT_EQ(std::get<IpPrefix>(rule_of("ip:192.0.2.1").target), IpPrefix::parse("192.0.2.1/32"));
    EXPECT_EQ(std::get<IpPrefix>(rule_of("ip:2001:db8::/32").target),
              IpPrefix::parse("2001:db8::/32"));
    EXPECT_EQ(std::get<std::string>(rule_of("domain:*.example.com").target), "*.example.com");
}

TEST(Rule, NarrowsByPortProtocolAndAgentInAnyOrder)
{
    const access::Rule expected{.agent = "home",
                                .target = *IpPrefix::parse("2001:db8::1"),
                                .port = std::uint16_t{65'535},
                                .protocol = access::Protocol::udp};
    EXPECT_EQ(rule_of("ip:2001:db8::1,port=65535,protocol=udp,agent=home"), expected);
    EXPECT_EQ(rule_of("ip:2001:db8::1,agent=home,protocol=udp,port=65535"), expected);
    EXPECT_EQ(rule_of("domain:a,protocol=tcp").protocol, access::Protocol::tcp);
}

TEST(Rule, RefusesWhatItWouldHaveToGuess)
{
    for (const char* text : {"",
                             ",",
                             "10.0.0.0/8",
                             "example.com",
                             "ip:",
                             "ip:10.0.0.1/8",
                             "ip:10.0.0.0/33",
                             "ip:example.com",
                             "ip:10.0.0.0/8 ",
                             "IP:10.0.0.0/8",
                             "domain:",
                             "domain:,port=1",
                             "dns:a",
                             "port=22",
                             "port=22,ip:10.0.0.0/8",
                             "ip:10.0.0.0/8,22",
                             "ip:10.0.0.0/8,,port=1",
                             "ip:10.0.0.0/8,port",
                             "ip:10.0.0.0/8,port=",
                             "ip:10.0.0.0/8,port=0",
                             "ip:10.0.0.0/8,port=65536",
                             "ip:10.0.0.0/8,port=-1",
                             "ip:10.0.0.0/8,port=22x",
                             "ip:10.0.0.0/8,port=ssh",
                             "ip:10.0.0.0/8,protocol=icmp",
                             "ip:10.0.0.0/8,protocol=TCP",
                             "ip:10.0.0.0/8,protocol=",
                             "ip:10.0.0.0/8,agent=",
                             "ip:10.0.0.0/8,agent=a b",
                             "ip:10.0.0.0/8,agent=Any",
                             "ip:10.0.0.0/8,user=x"}) {
        const auto ending =
            test::ending_of(parse_command_line, {"token", "policy", "--name", "p", "--rule", text});
        EXPECT_EQ(ending.code, ExitCode::usage) << text;
        EXPECT_THAT(ending.sentence, HasSubstr("--rule")) << text;
    }
}

struct Mistake {
    std::vector<const char*> words;
    const char* named; ///< in the sentence
};

TEST(CommandLine, EndsWithUsageForEveryMistake)
{
    const std::string long_name(65, 'x');
    const std::vector<Mistake> mistakes = {
        {{"nonsense"}, "nonsense"},
        {{"--nonsense"}, "--nonsense"},
        {{"-c"}, "--config"},
        {{"--log-level", "loud"}, "--log-level"},
        {{"--log-format", "xml"}, "--log-format"},
        {{"--listen", "443"}, "--listen"},
        {{"--listen", "example.com:443"}, "--listen"},
        {{"--listen", "0.0.0.0:0"}, "--listen"},
        {{"--listen", "0.0.0.0:65536"}, "--listen"},
        {{"--listen", "::1:443"}, "--listen"},
        {{"--public", "gateway.example"}, "--public"},
        {{"--public", "gateway.example:0"}, "--public"},
        {{"--public", "https://gateway.example:443"}, "--public"},
        {{"--listen", "0.0.0.0:443", "token", "list"}, "--listen"},
        {{"--public", "a", "token", "agent", "--name", "home"}, "--public"},
        {{"token"}, "missing: agent, client, policy, list, revoke"},
        {{"token", "nonsense"}, "command nonsense"},
        {{"token", "agent"}, "--name"},
        {{"token", "agent", "--name"}, "--name"},
        {{"token", "agent", "--name", ""}, "--name"},
        {{"token", "agent", "--name", "a b"}, "--name"},
        {{"token", "agent", "--name", ".hidden"}, "--name"},
        {{"token", "agent", "--name", "Any"}, "--name"},
        {{"token", "agent", "--name", "caf\xc3\xa9"}, "--name"},
        {{"token", "agent", "--name", long_name.c_str()}, "--name"},
        {{"token", "agent", "--name", "home", "--user", ""}, "--user"},
        {{"token", "agent", "--name", "home", "--user", "a/b"}, "--user"},
        {{"token", "agent", "--name", "home", "--expires", "0s"}, "--expires"},
        {{"token", "agent", "--name", "home", "--expires", "999ms"}, "--expires"},
        {{"token", "agent", "--name", "home", "--expires", "90"}, "--expires"},
        {{"token", "agent", "--name", "home", "--expires", "1y"}, "--expires"},
        {{"token", "agent", "--name", "home", "--expires", "1.5h"}, "--expires"},
        {{"token", "agent", "--name", "home", "--expires", "99999999999d"}, "--expires"},
        {{"token", "agent", "--name", "home", "--policy", "p"}, "--policy"},
        {{"token", "agent", "--name", "home", "--rule", "domain:*"}, "--rule"},
        {{"token", "client"}, "--name"},
        {{"token", "client", "--name", "me", "--policy"}, "--policy"},
        {{"token", "client", "--name", "me", "--type", "white"}, "--type"},
        {{"token", "policy", "--name", "p"}, "--rule"},
        {{"token", "policy", "--rule", "domain:*"}, "--name"},
        {{"token", "policy", "--name", "p", "--rule"}, "--rule"},
        {{"token", "policy", "--name", "p", "--rule", "domain:*", "--id", "0"}, "--id"},
        {{"token", "policy", "--name", "p", "--rule", "domain:*", "--id", "9007199254740992"},
         "--id"},
        {{"token", "policy", "--name", "p", "--rule", "domain:*", "--id", "x"}, "--id"},
        {{"token", "policy", "--name", "p", "--rule", "domain:*", "--type", "grey"}, "--type"},
        {{"token", "list", "extra"}, "extra"},
        {{"token", "revoke"}, "ID"},
        {{"token", "revoke", "a", "b"}, "b"},
        {{"token", "agent", "--name", "a", "--name", "b"}, "--name"},
        {{"token", "agent", "--name", "a", "client", "--name", "b"}, "--name"},
    };
    for (const Mistake& mistake : mistakes) {
        std::string typed;
        for (const char* word : mistake.words)
            typed += std::string{word} + " ";
        const auto ending = test::ending_of(parse_command_line, mistake.words);
        EXPECT_EQ(ending.code, ExitCode::usage) << typed;
        EXPECT_THAT(ending.sentence, HasSubstr(mistake.named)) << typed;
        EXPECT_THAT(ending.sentence, HasSubstr("--help")) << typed;
    }
}

TEST(CommandLine, HelpAndVersionAreNoMistakes)
{
    for (const auto& words : {std::vector{"--help"}, std::vector{"token", "--help"},
                              std::vector{"token", "policy", "--help"}, std::vector{"--version"}}) {
        const auto ending = test::ending_of(parse_command_line, words);
        EXPECT_EQ(ending.code, ExitCode::success) << words.back();
        EXPECT_FALSE(ending.sentence.empty());
    }
}

} // namespace
} // namespace narrowlink::gateway

#include "narrowlink/client/command_line.hpp"

#include "../program/ending.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace narrowlink::client {
namespace {

using testing::HasSubstr;

CommandLine parse(std::vector<const char*> words)
{
    return test::parsed(parse_command_line, std::move(words));
}

template <class C>
C session(std::vector<const char*> words)
{
    return std::get<C>(std::get<SessionCommand>(parse(std::move(words)).command));
}

ForwardCommand forward(std::vector<const char*> words)
{
    words.insert(words.begin(), {"forward", "-n", "home"});
    return session<ForwardCommand>(std::move(words));
}

SocketAddress local_of(const char* text)
{
    return forward({"-l", text, "db:5432"}).forwards.at(0).local;
}

SocketAddress at(const char* ip, std::uint16_t port)
{
    return {*IpAddress::parse(ip), port};
}

TEST(CommandLine, KnowsEveryCommandByBothItsNames)
{
    EXPECT_EQ(session<JoinCommand>({"join", "nl1.x"}).join, "nl1.x");
    for (const char* name : {"list", "l"}) {
        const auto list = session<ListCommand>({name, "-v", "--json"});
        EXPECT_TRUE(list.verbose && list.json);
    }
    EXPECT_FALSE(std::get<DoctorCommand>(parse({"doctor"}).command).json);
    EXPECT_TRUE(std::get<DoctorCommand>(parse({"doctor", "--json"}).command).json);
    for (const char* name : {"connect", "c"}) {
        const auto connect = session<ConnectCommand>({name, "-n", "home", "Db:5432"});
        EXPECT_EQ(connect.agent, "home");
        EXPECT_EQ(connect.target, (HostPort{"db", 5432}));
        EXPECT_FALSE(connect.udp);
    }
    for (const char* name : {"forward", "f"})
        EXPECT_EQ(session<ForwardCommand>({name, "-n", "home", "db:5432"}).agent, "home");
    EXPECT_TRUE(session<ConnectCommand>({"c", "-u", "-n", "home", "db:53"}).udp);
}

TEST(CommandLine, TakesCommonOptionsBeforeAndBehindTheCommand)
{
    for (const auto& words : {std::vector{"--join", "nl1.x", "--state", "/s", "list"},
                              std::vector{"list", "--join", "nl1.x", "--state", "/s"}}) {
        const CommandLine line = parse(words);
        EXPECT_EQ(line.join, "nl1.x");
        EXPECT_EQ(line.common.state, "/s");
    }
}

TEST(Forward, ListensOnTheTargetsPortUnlessToldOtherwise)
{
    const ForwardCommand command = forward({"db:5432"});
    ASSERT_EQ(command.forwards.size(), 1U);
    EXPECT_EQ(command.forwards[0].local, at("127.0.0.1", 5432));
    EXPECT_EQ(command.forwards[0].target, (HostPort{"db", 5432}));
    EXPECT_FALSE(command.forwards[0].udp);
}

TEST(Forward, PairsEachLocalAddressWithTheTargetAtItsPlace)
{
    for (const auto& words :
         {std::vector{"-l", "1001", "-l", "[::1]:1002", "a:1", "b:2", "c:3"},
          std::vector{"a:1", "-l", "1001", "b:2", "-l", "[::1]:1002", "c:3"},
          std::vector{"a:1", "b:2", "c:3", "--local", "1001", "--local", "[::1]:1002"}}) {
        const ForwardCommand command = forward(words);
        ASSERT_EQ(command.forwards.size(), 3U);
        EXPECT_EQ(command.forwards[0].local, at("127.0.0.1", 1001));
        EXPECT_EQ(command.forwards[0].target, (HostPort{"a", 1}));
        EXPECT_EQ(command.forwards[1].local, at("::1", 1002));
        EXPECT_EQ(command.forwards[1].target, (HostPort{"b", 2}));
        EXPECT_EQ(command.forwards[2].local, at("127.0.0.1", 3)) << "without an -l of its own";
    }
}

TEST(Forward, ASuffixOfTheTargetOverridesTheOption)
{
    const auto udp_of = [](std::vector<const char*> words) {
        std::vector<bool> udp;
        for (const Forward& one : forward(std::move(words)).forwards)
            udp.push_back(one.udp);
        return udp;
    };
    EXPECT_EQ(udp_of({"a:1", "b:2/udp", "c:3/tcp"}), (std::vector{false, true, false}));
    EXPECT_EQ(udp_of({"-u", "a:1", "b:2/udp", "c:3/tcp"}), (std::vector{true, true, false}));
    EXPECT_EQ(forward({"[2001:db8::1]:53/udp"}).forwards[0].target, (HostPort{"2001:db8::1", 53}));
}

TEST(Forward, TakesEveryFormOfLocalAddress)
{
    EXPECT_EQ(local_of("2222"), at("127.0.0.1", 2222));
    EXPECT_EQ(local_of("0"), at("127.0.0.1", 0)) << "any free port";
    EXPECT_EQ(local_of("65535"), at("127.0.0.1", 65'535));
    EXPECT_EQ(local_of("0.0.0.0:2222"), at("0.0.0.0", 2222));
    EXPECT_EQ(local_of("192.0.2.1:0"), at("192.0.2.1", 0));
    EXPECT_EQ(local_of("localhost:2222"), at("127.0.0.1", 2222));
    EXPECT_EQ(local_of("[::]:2222"), at("::", 2222));
    EXPECT_EQ(local_of("[::1]:2222"), at("::1", 2222));
    EXPECT_EQ(local_of("[::ffff:127.0.0.1]:2222"), at("127.0.0.1", 2222));
}

TEST(Forward, RefusesALocalAddressThatItWouldHaveToGuess)
{
    for (const char* text : {"",
                             "x",
                             "65536",
                             "-1",
                             "+1",
                             "22 ",
                             " 22",
                             "22x",
                             "0x16",
                             ":22",
                             "127.0.0.1",
                             "127.0.0.1:",
                             "127.0.0.1:65536",
                             "127.0.0.1:x",
                             "127.0.0.1:22:",
                             "example.com:22",
                             "*:22",
                             "[::1]",
                             "[::1]22",
                             "[::1:22",
                             "[]:22",
                             "[]",
                             "256.0.0.1:22",
                             "22/udp"}) {
        const auto ending =
            test::ending_of(parse_command_line, {"forward", "-n", "home", "-l", text, "db:5432"});
        EXPECT_EQ(ending.code, ExitCode::usage) << text;
        EXPECT_THAT(ending.sentence, HasSubstr("--help")) << text;
    }
}

struct Mistake {
    std::vector<const char*> words;
    const char* named; ///< in the sentence
};

TEST(CommandLine, EndsWithUsageForEveryMistake)
{
    const std::vector<Mistake> mistakes = {
        {{}, "missing: join, list, status, doctor, connect, forward"},
        {{"nonsense"}, "command nonsense"},
        {{"--nonsense"}, "option --nonsense"},
        {{"--nonsense", "list"}, "--nonsense"},
        {{"list", "extra"}, "extra"},
        {{"list", "connect", "-n", "home", "a:1"}, "connect"},
        {{"list", "--log-level", "loud"}, "--log-level"},
        {{"join"}, "STRING"},
        {{"join", "a", "b"}, "b"},
        {{"connect", "a:1"}, "--name"},
        {{"connect", "-n", "home"}, "TARGET"},
        {{"connect", "-n", "home", "a"}, "\"a\" is no target"},
        {{"connect", "-n", "home", "a:0"}, "\"a:0\" is no target"},
        {{"connect", "-n", "home", "a:65536"}, "is no target"},
        {{"connect", "-n", "home", "::1:22"}, "is no target"},
        {{"connect", "-n", "home", "a:53/udp"}, "is no target"},
        {{"connect", "-n", "home", "a:1", "b:2"}, "b:2"},
        {{"connect", "-n", "home", "-l", "22", "a:1"}, "-l"},
        {{"connect", "-d", "-r", "-n", "home", "a:1"}, "--direct"},
        {{"status", "extra"}, "extra"},
        {{"forward", "a:1"}, "--name"},
        {{"forward", "-n", "home"}, "TARGET"},
        {{"forward", "-n", "home", "-l", "22"}, "TARGET"},
        {{"forward", "-n", "home", "-l"}, "--local"},
        {{"forward", "-n", "home", "-l", "22", "-l", "23", "a:1"}, "more -l than targets"},
        {{"forward", "-n", "home", "a"}, "is no target"},
        {{"forward", "-n", "home", "a:1/sctp"}, "is no target"},
        {{"forward", "-n", "home", "a:1/UDP"}, "is no target"},
        {{"forward", "-n", "home", "a:1/tcp/udp"}, "is no target"},
        {{"forward", "-n", "home", "a:1/udp/tcp"}, "is no target"},
        {{"forward", "-n", "home", "/udp"}, "is no target"},
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
    for (const auto& words :
         {std::vector{"--help"}, std::vector{"forward", "--help"}, std::vector{"--version"}}) {
        const auto ending = test::ending_of(parse_command_line, words);
        EXPECT_EQ(ending.code, ExitCode::success) << words.back();
        EXPECT_FALSE(ending.sentence.empty());
    }
}

} // namespace
} // namespace narrowlink::client

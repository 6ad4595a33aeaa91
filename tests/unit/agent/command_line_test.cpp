#include "narrowlink/agent/command_line.hpp"

#include "../program/ending.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::agent {
namespace {

TEST(CommandLine, TakesEveryOption)
{
    const CommandLine line = test::parsed(
        parse_command_line, {"--join", "nl1.x", "-d", "--pid-file", "/p", "--log-file", "/l", "-c",
                             "a.yaml", "--state", "/s", "--log-format", "json"});
    EXPECT_EQ(line.join, "nl1.x");
    EXPECT_TRUE(line.daemon);
    EXPECT_EQ(line.pid_file, "/p");
    EXPECT_EQ(line.log_file, "/l");
    EXPECT_EQ(line.common.config, "a.yaml");
    EXPECT_EQ(line.common.state, "/s");
    EXPECT_EQ(line.common.log.format, "json");
}

TEST(CommandLine, NeedsNone)
{
    const CommandLine line = test::parsed(parse_command_line, {});
    EXPECT_FALSE(line.join || line.daemon || line.pid_file || line.log_file || line.common.config);
}

TEST(CommandLine, EndsWithUsageForEveryMistake)
{
    for (const auto& words : std::vector<std::vector<const char*>>{{"nonsense"},
                                                                   {"--nonsense"},
                                                                   {"--join"},
                                                                   {"-c"},
                                                                   {"--state"},
                                                                   {"--pid-file"},
                                                                   {"--log-level", "loud"},
                                                                   {"--log-format", "xml"},
                                                                   {"--daemon=maybe"}}) {
        const auto ending = test::ending_of(parse_command_line, words);
        EXPECT_EQ(ending.code, ExitCode::usage) << words[0];
        EXPECT_THAT(ending.sentence, testing::HasSubstr("--help")) << words[0];
    }
}

} // namespace
} // namespace narrowlink::agent

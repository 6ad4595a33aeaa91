#include "narrowlink/base/address.hpp"
#include "narrowlink/io/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

struct Log : testing::Test {
    ~Log() override { start_log(LogLevel::info, LogFormat::text); }

    /// What one call writes, without the time and the line's end.
    template <class... Arguments>
    static std::string line(LogLevel level, const Arguments&... arguments)
    {
        testing::internal::CaptureStderr();
        log_event(level, arguments...);
        std::string text = testing::internal::GetCapturedStderr();
        if (text.empty())
            return text;
        EXPECT_EQ(text.back(), '\n');
        text.pop_back();
        return text.substr(text.find(' ') + 1);
    }

    static std::string value(std::string_view text)
    {
        return line(LogLevel::info, "e", "k", text).substr(std::string_view{"info e k="}.size());
    }
};

TEST_F(Log, WritesTimeLevelEventAndFieldsOnOneLine)
{
    testing::internal::CaptureStderr();
    log_event(LogLevel::warning, "path_opened", "agent", "home", "streams", 3);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.]"
                                      "[0-9]{3}Z warning path_opened agent=home streams=3\n"));
}

TEST_F(Log, WritesAnEventWithoutFields)
{
    EXPECT_EQ(line(LogLevel::error, "out_of_memory"), "error out_of_memory");
}

TEST_F(Log, KnowsTheTypesThatProgramsLog)
{
    const SocketAddress address{IpAddress{}, 80};
    const ErrorCode refused = make_error_code(boost::system::errc::connection_refused);
    EXPECT_EQ(line(LogLevel::info, "e", "a", address, "b", true, "c", std::uint8_t{7}, "d", -1, "f",
                   0.5, "g", std::string{"s"}, "h", refused),
              "info e a=0.0.0.0:80 b=true c=7 d=-1 f=0.5 g=s h=\"Connection refused\"");
    EXPECT_EQ(line(LogLevel::info, "e", "a", 1500ms, "b", 250us, "c", 20ms, "d", 7ns, "f", 90s),
              "info e a=1.5s b=250us c=20ms d=7ns f=90s");
}

TEST_F(Log, QuotesWhatWouldBeMisread)
{
    EXPECT_EQ(value("plain-1.2_3:4/5"), "plain-1.2_3:4/5");
    EXPECT_EQ(value(""), R"("")");
    EXPECT_EQ(value("two words"), R"("two words")");
    EXPECT_EQ(value("a=b"), R"("a=b")");
    EXPECT_EQ(value(R"(say "hi" \o/)"), R"("say \"hi\" \\o/")");
}

TEST_F(Log, LetsNoControlCharacterThrough)
{
    EXPECT_EQ(value("a\nb\x1b[2Jc\x7f"), R"("a\nb\u001b[2Jc\u007f")");
    EXPECT_EQ(value("\xc2\x9b\x32J"), R"("\u009b2J")") << "C1 control, in UTF-8";
    EXPECT_EQ(value("\x9b\x32J"), R"("\ufffd2J")") << "the same as a bare byte";
    EXPECT_EQ(value("a\xe2\x80\xae"
                    "b"),
              R"("a\u202eb")")
        << "right-to-left override";
    EXPECT_EQ(value("a\xc2\xad"
                    "b"),
              R"("a\u00adb")")
        << "soft hyphen, which is not seen";
    EXPECT_EQ(value("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")") << "a surrogate is not UTF-8";
    EXPECT_EQ(value("\xc0\xaf\xe2\x82"), R"("\ufffd\ufffd\ufffd\ufffd")") << "overlong; cut off";
    EXPECT_EQ(value("\xe0\x80\x8a"), R"("\ufffd\ufffd\ufffd")") << "an overlong line break";
    EXPECT_EQ(value("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"") << "letters stay";
    EXPECT_EQ(value(std::string_view{"a\0b", 3}), R"("a\u0000b")");
}

TEST_F(Log, CutsAValueThatAPeerMadeTooLong)
{
    EXPECT_EQ(value(std::string(5'000, 'x')).size(), 1'024 + std::string_view{"\"...\""}.size());
}

TEST_F(Log, WritesOneJsonObjectPerLine)
{
    start_log(LogLevel::info, LogFormat::json);
    testing::internal::CaptureStderr();
    log_event(LogLevel::info, "e", "text", "plain", "count", 3, "quote", "\"\n");
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::MatchesRegex(R"([{]"time":"[^"]+","level":"info","event":"e",)"
                                      R"("text":"plain","count":3,"quote":"\\"\\n"[}])"
                                      "\n"));
}

TEST_F(Log, IsSilentBelowItsLevel)
{
    EXPECT_EQ(line(LogLevel::debug, "e"), "");
    start_log(LogLevel::debug, LogFormat::text);
    EXPECT_EQ(line(LogLevel::debug, "e"), "debug e");
    EXPECT_EQ(line(LogLevel::trace, "e"), "");
}

struct Expensive {
    int* made;
};

std::string to_string(const Expensive& value)
{
    ++*value.made;
    return {};
}

TEST_F(Log, MakesNoTextForALineThatIsNotWritten)
{
    int made = 0;
    log_event(LogLevel::debug, "e", "k", Expensive{&made});
    EXPECT_EQ(made, 0);
}

} // namespace
} // namespace narrowlink::io

#include "narrowlink/config/parse.hpp"

#include <gtest/gtest.h>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, KnowsFiveUnits)
{
    EXPECT_EQ(parse_duration("250ms"), Duration{250ms});
    EXPECT_EQ(parse_duration("15s"), Duration{15s});
    EXPECT_EQ(parse_duration("5m"), Duration{5min});
    EXPECT_EQ(parse_duration("2h"), Duration{2h});
    EXPECT_EQ(parse_duration("90d"), Duration{90 * 24h});
    EXPECT_EQ(parse_duration("0s"), Duration{0s});
}

TEST(ParseDuration, RefusesWhatIsNotExactlyOneNumberAndOneUnit)
{
    for (const char* bad : {"", "15", "s", "-1s", "+1s", "1.5s", " 1s", "1s ", "1 s", "1h30m", "1S",
                            "1us", "99999999999999999999s", "9223372037s", "106752d"})
        EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
    EXPECT_TRUE(parse_duration("9223372036s")) << "the longest there is";
}

TEST(FormatDuration, IsReadBackAsTheSame)
{
    for (const char* text : {"250ms", "15s", "5m", "2h", "90d", "90s", "61m", "0ms"})
        EXPECT_EQ(format_duration(parse_duration(text).value()), text);
}

TEST(ParseSize, KnowsBytesAndBinaryUnits)
{
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_size("1500"), 1'500U);
    EXPECT_EQ(parse_size("1500B"), 1'500U);
    EXPECT_EQ(parse_size("64KiB"), 65'536U);
    EXPECT_EQ(parse_size("4MiB"), 4'194'304U);
    EXPECT_EQ(parse_size("2GiB"), 2'147'483'648U);
}

TEST(ParseSize, RefusesWhatItWouldHaveToGuess)
{
    for (const char* bad : {"", "KiB", "-1", "1.5MiB", "64kb", "64K", "64 KiB", "1MB",
                            "99999999999999999999", "17179869184GiB"})
        EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
}

TEST(FormatSize, IsReadBackAsTheSame)
{
    for (const char* text : {"64KiB", "4MiB", "1500B", "1025KiB", "2GiB", "0B"})
        EXPECT_EQ(format_size(parse_size(text).value()), text);
}

TEST(ParseSocketAddress, TakesAddressesButNoNames)
{
    EXPECT_EQ(to_string(parse_socket_address("0.0.0.0:443").value()), "0.0.0.0:443");
    EXPECT_EQ(to_string(parse_socket_address("[::]:443").value()), "[::]:443");
    for (const char* bad : {"", "443", ":443", "localhost:443", "0.0.0.0", "0.0.0.0:0", "::1:443",
                            "0.0.0.0:65536", "1.2.3.4:5x"})
        EXPECT_EQ(parse_socket_address(bad), std::nullopt) << bad;
}

} // namespace
} // namespace narrowlink::config

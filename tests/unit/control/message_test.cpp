#include "narrowlink/control/error.hpp"
#include "narrowlink/control/message.hpp"
#include "samples.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <string>
#include <vector>

namespace narrowlink::control {
namespace {

const std::string pin_text = to_string(pin_of(1));
const std::string id_text = to_string(pair_of(1));

access::Policy some_policy()
{
    return {.id = 42,
            .type = access::Policy::Type::white_list,
            .rules = {{.agent = "home",
                       .target = *IpPrefix::parse("10.0.0.0/8"),
                       .port = std::uint16_t{22},
                       .protocol = access::Protocol::tcp},
                      {.agent = {}, .target = "*.example.com", .port = {}, .protocol = {}}}};
}

nat::ProbeCredentials channel_of(std::uint64_t seed)
{
    SeededRandom random{seed};
    return {.id = random.array<8>(), .key = random.array<32>()};
}

nat::Spray some_spray()
{
    return {.addresses = {*IpAddress::parse("198.51.100.7")},
            .first = 40'000,
            .count = 8,
            .step = -2,
            .order = nat::Spray::Order::random};
}

std::vector<Message> one_of_each()
{
    Hello hello = hello_of(3);
    hello.policies = {"a.b.c", "d.e.f"};
    return {
        hello,
        Welcome{.version = 1, .features = {"x"}, .session = "1f", .name = "home", .user = "ann"},
        Ping{.id = 0},
        Pong{.id = (std::uint64_t{1} << 53) - 1},
        List{.id = 9},
        Agents{.id = 9,
               .agents = {{.name = "home",
                           .instance = instance_of(4),
                           .key = pin_of(5),
                           .software = "narrowlink/0.1.0",
                           .connected_seconds = 86'400,
                           .address = "192.0.2.7"},
                          {.name = "büro",
                           .instance = instance_of(6),
                           .key = pin_of(7),
                           .software = "x",
                           .connected_seconds = 0,
                           .address = {},
                           .port_mapping = "nat-pmp 203.0.113.2:40000"}},
               .more = true},
        Introduce{.id = 10, .agent = "home", .pair = pair_of(8), .resume = true},
        Introduced{.pair = pair_of(8),
                   .handle = wire::PairHandle{0xffffffff},
                   .agent = "home",
                   .key = pin_of(5),
                   .instance = instance_of(4)},
        Introduction{.pair = pair_of(8),
                     .handle = wire::PairHandle{1},
                     .client = "laptop",
                     .user = "ann",
                     .key = pin_of(9),
                     .instance = instance_of(9),
                     .policies = {some_policy()}},
        Refused{.id = 10, .reason = RefusalReason::no_such_agent, .message = "no \"x\""},
        Interrupted{.pair = pair_of(8), .client_key = {}},
        Release{.pair = pair_of(8), .client_key = pin_of(9)},
        Released{.pair = pair_of(8), .client_key = pin_of(9)},
        Observe{.channel = channel_of(10),
                .ports = {443, 65535},
                .addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")}},
        Candidates{.addresses = {*SocketAddress::parse("10.0.0.2:40000"),
                                 *SocketAddress::parse("[2001:db8::2]:40000")}},
        Candidates{.addresses = {},
                   .mapped = MappedPort{*SocketAddress::parse("203.0.113.2:40000"), "upnp"}},
        SurveyRequest{.family = Family::v6,
                      .step = {.purpose = nat::SurveyStep::Purpose::filtering,
                               .first_socket = 2,
                               .sockets = 12,
                               .to = {{.address = 0, .port = 3}, {.address = 1, .port = 0}},
                               .rounds = 2}},
        Filtered{.family = Family::v4,
                 .report = {.from_port = true, .from_address = false, .answered = true}},
        MappingAlive{.family = Family::v6, .socket = 17},
        NatDescription{.family = Family::v6, .text = "no NAT"},
        NatDescription{.family = Family::v4,
                       .text = "x",
                       .behaviour =
                           nat::Behaviour{.reach = nat::Reach::main_port_only,
                                          .mapping = nat::Mapping::address_and_port_dependent,
                                          .filtering = nat::Filtering::endpoint_independent,
                                          .allocation = nat::Allocation::sequential,
                                          .delta = 1,
                                          .lifetime = {.alive_after = std::chrono::seconds{25},
                                                       .gone_after = std::chrono::seconds{55}}}},
        Meet{.pair = pair_of(8)},
        Punch{
            .pair = pair_of(8),
            .client_key = pin_of(9),
            .channel = channel_of(11),
            .attempt = 3,
            .fire_in_ms = 70,
            .candidates = {{*SocketAddress::parse("198.51.100.7:1"), nat::CandidateKind::observed},
                           {*SocketAddress::parse("[2001:db8::2]:5"),
                            nat::CandidateKind::host_v6}}},
        Punch{.pair = pair_of(8),
              .client_key = {},
              .channel = channel_of(11),
              .candidates = {},
              .spray = some_spray(),
              .sockets = 256,
              .fresh = true,
              .family = Family::v6,
              .sample = true,
              .wait = true,
              .first_ttl = 0,
              .retry_ttl = 64,
              .retry_after_ms = 4'000,
              .packets = 16,
              .time_ms = 9'000},
        Aim{.pair = pair_of(8),
            .client_key = pin_of(9),
            .attempt = 4,
            .fire_in_ms = 80,
            .candidates = {{*SocketAddress::parse("198.51.100.7:1"), nat::CandidateKind::observed}},
            .spray = some_spray()},
        Punched{.pair = pair_of(8), .attempt = 4, .opened = true},
        Unreachable{.pair = pair_of(8), .message = "both NATs choose ports at random"},
        UdpRelay{.pair = pair_of(8), .client_key = {}},
        UdpRelay{.pair = pair_of(8), .client_key = pin_of(9)},
        Closing{.reason = ClosingReason::replaced, .message = "by another"},
        Unknown{.type = "weather"},
    };
}

ErrorCode error_of(std::string_view text)
{
    const auto message = parse(text);
    return message ? ErrorCode{} : message.error();
}

TEST(Message, SurvivesFormatAndParse)
{
    for (const Message& message : one_of_each()) {
        const std::string text = format(message);
        const auto parsed = parse(text);
        ASSERT_TRUE(parsed) << text << ": " << parsed.error().message();
        EXPECT_EQ(*parsed, message) << text;
    }
}

TEST(Message, OfAnUnknownTypeIsNoError)
{
    const auto message = parse(R"({"type":"weather","sky":[{"blue":true}]})");
    ASSERT_TRUE(message);
    EXPECT_EQ(*message, Message{Unknown{"weather"}});
}

TEST(Message, MayHaveMembersOfALaterVersion)
{
    const auto message = parse(R"({"type":"ping","id":7,"mood":"good"})");
    ASSERT_TRUE(message);
    EXPECT_EQ(*message, Message{Ping{7}});
}

TEST(Message, OfAReasonFromALaterVersionHasReasonOther)
{
    const auto closing = parse(R"({"type":"closing","reason":"eclipse","message":"dark"})");
    ASSERT_TRUE(closing);
    EXPECT_EQ(std::get<Closing>(*closing).reason, ClosingReason::other);
    const auto refused = parse(R"({"type":"refused","id":1,"reason":"eclipse","message":"dark"})");
    ASSERT_TRUE(refused);
    EXPECT_EQ(std::get<Refused>(*refused).reason, RefusalReason::other);
}

TEST(Message, MustBeAJsonObjectWithAType)
{
    for (const std::string_view text :
         {"", "null", "[]", "{}", "\"ping\"", "{", R"({"type":7})", R"({"type":""})",
          R"({"type":"ping","id":1}x)", R"({'type':'ping'})", "{\"type\":\"\xff\"}",
          R"({"type":"a\u0000b"})", R"({"type":"ping","id":1,})"})
        EXPECT_EQ(error_of(text), Error::malformed_message) << text;
}

TEST(Message, IsRefusedWhenAMemberIsMissingOrOfTheWrongType)
{
    const auto hello = [](std::string_view members) {
        return fmt::format(R"({{"type":"hello","software":"s",{}}})", members);
    };
    const std::string identity = fmt::format(R"("key":"{}","instance":"{}")", pin_text, id_text);
    ASSERT_FALSE(error_of(hello(identity + R"(,"version_min":1,"version_max":1)")));

    for (const std::string& text : {
             hello(identity),
             hello(identity + R"(,"version_min":2,"version_max":1)"),
             hello(identity + R"(,"version_min":1,"version_max":4294967296)"),
             hello(identity + R"(,"version_min":1,"version_max":1,"features":[1])"),
             hello(identity + R"(,"version_min":1,"version_max":1,"features":[""])"),
             hello(identity + R"(,"version_min":1,"version_max":1,"features":{})"),
             hello(identity + R"(,"version_min":1,"version_max":1,"policies":"x")"),
             hello(R"("key":"short","instance":"","version_min":1,"version_max":1)"),
             std::string{R"({"type":"ping"})"},
             std::string{R"({"type":"ping","id":-1})"},
             std::string{R"({"type":"ping","id":1.0})"},
             std::string{R"({"type":"ping","id":"1"})"},
             std::string{R"({"type":"ping","id":9007199254740992})"},
             std::string{R"({"type":"ping","id":18446744073709551615})"},
             std::string{R"({"type":"ping","id":1e400})"},
             fmt::format(R"({{"type":"introduce","id":1,"agent":"","pair":"{}"}})", id_text),
             fmt::format(R"({{"type":"introduce","id":1,"agent":"a\u001b[2J","pair":"{}"}})",
                         id_text),
             fmt::format(R"({{"type":"introduce","id":1,"agent":"{}","pair":"{}"}})",
                         std::string(65, 'a'), id_text),
             fmt::format(R"({{"type":"introduce","id":1,"agent":"a","pair":"{}","resume":1}})",
                         id_text),
             std::string{R"({"type":"introduce","id":1,"agent":"a","pair":"1"})"},
             std::string{R"({"type":"agents","id":1,"agents":[7]})"},
             std::string{R"({"type":"agents","id":1,"agents":[{}]})"},
             fmt::format(R"({{"type":"release","pair":"{}","client_key":null}})", id_text),
         })
        EXPECT_TRUE(error_of(text)) << text;
}

TEST(Message, IntroductionMustSayThatThereAreNoPolicies)
{
    Introduction introduction = std::get<Introduction>(one_of_each()[8]);
    introduction.policies.clear();
    std::string text = format(introduction);
    EXPECT_FALSE(error_of(text));
    const std::size_t member = text.find(R"(,"policies":[])");
    ASSERT_NE(member, std::string::npos);
    text.erase(member, std::string_view{R"(,"policies":[])"}.size());
    EXPECT_EQ(error_of(text), Error::wrong_member);
}

TEST(Message, IsRefusedWhenAListIsTooLong)
{
    Hello hello = hello_of(1);
    hello.features.assign(max_features, "f");
    EXPECT_FALSE(error_of(format(hello)));
    hello.features.emplace_back("f");
    EXPECT_EQ(error_of(format(hello)), Error::wrong_member);
}

TEST(Message, IsRefusedOverItsSizeBeforeItIsParsed)
{
    std::string text = R"({"type":"ping","id":1})";
    text.resize(max_message_size, ' ');
    EXPECT_FALSE(error_of(text));
    text += ' ';
    EXPECT_EQ(error_of(text), Error::message_too_large);
}

TEST(Message, IsRefusedWhenItIsNestedTooDeeply)
{
    const auto nested = [](std::size_t depth) {
        return R"({"type":"weather","x":)" + std::string(depth, '[') + std::string(depth, ']') +
               "}";
    };
    EXPECT_FALSE(error_of(nested(7)));
    EXPECT_EQ(error_of(nested(8)), Error::malformed_message);
    EXPECT_EQ(error_of(nested(30'000)), Error::malformed_message);
}

TEST(Message, ShowsNoControlCharactersOfAStranger)
{
    const auto message =
        parse(R"({"type":"closing","reason":"shutdown","message":"a\u001b[2Jb\nc"})");
    ASSERT_TRUE(message);
    EXPECT_EQ(std::get<Closing>(*message).message, "a?[2Jb?c");
}

TEST(Message, CutsALongSentenceBetweenCharacters)
{
    const std::string text =
        format(Closing{.reason = ClosingReason::shutdown,
                       .message = std::string(max_sentence_size - 1, 'a') + "\xc3\xbc" + "b"});
    const auto message = parse(text);
    ASSERT_TRUE(message) << "half a character would not be UTF-8";
    EXPECT_EQ(std::get<Closing>(*message).message, std::string(max_sentence_size - 1, 'a'));
}

TEST(Message, FullPageOfAgentsWithTheWorstNamesFits)
{
    const Agent worst{.name = std::string(max_name_size, '"'),
                      .instance = instance_of(1),
                      .key = pin_of(1),
                      .software = std::string(max_name_size, '\\'),
                      .connected_seconds = (std::uint64_t{1} << 53) - 1,
                      .address = std::string(max_name_size, '"')};
    const Agents page{.id = 1, .agents = std::vector(max_agents_per_message, worst), .more = true};
    EXPECT_FALSE(error_of(format(page)));
}

TEST(Message, EveryErrorHasASentence)
{
    for (int value = 1; value <= static_cast<int>(Error::too_many_sessions); ++value)
        EXPECT_NE(make_error_code(static_cast<Error>(value)).message(), "unknown control error");
}

} // namespace
} // namespace narrowlink::control

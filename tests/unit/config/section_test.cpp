#include "narrowlink/config/section.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// One file and a reader for it.
struct File {
    explicit File(std::string_view text) : document{parse_document(text, problems)} {}

    [[nodiscard]] std::vector<std::string> complaints() const
    {
        std::vector<std::string> lines;
        for (const Problem& problem : problems.sorted())
            lines.push_back(to_string(problem));
        return lines;
    }

    Problems problems{"agent.yaml"};
    Value document;
    Section root{document, "", problems};
};

TEST(Section, TellsAllProblemsOfOneFileAtOnce)
{
    File file{"direct:\n"
              "  keepalive: 15\n"
              "  kepalive: 15s\n"
              "  zzz: 1\n"};
    file.root.required_string("gateway");
    Section direct = file.root.section("direct");
    direct.duration("keepalive", 10s, 1s, 25s);
    direct.finish();
    file.root.finish();
    EXPECT_THAT(
        file.complaints(),
        ElementsAre("agent.yaml:1:1: gateway: is required",
                    "agent.yaml:2:14: direct.keepalive: expected a duration such as \"15s\" "
                    "or \"250ms\"",
                    "agent.yaml:3:3: direct.kepalive: unknown key; did you mean `keepalive`?",
                    "agent.yaml:4:3: direct.zzz: unknown key"));
}

TEST(Section, ReadsEveryType)
{
    File file{"text: some words\n"
              "number_as_text: 0123\n"
              "flag: true\n"
              "count: 42\n"
              "time: 90d\n"
              "size: 64KiB\n"
              "target: Gateway.Example:443\n"
              "listen: '[::1]:80'\n"
              "nets: [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.1]\n"
              "words: [a, b]\n"
              "pick: two\n"};
    Section& root = file.root;
    EXPECT_EQ(root.required_string("text"), "some words");
    EXPECT_EQ(root.required_string("number_as_text"), "0123");
    EXPECT_TRUE(root.boolean("flag", false));
    EXPECT_EQ(root.integer("count", 1, 0, 100), 42);
    EXPECT_EQ(root.duration("time", 1s, 1s, 10'000h), Duration{90 * 24h});
    EXPECT_EQ(root.size("size", 1, 1, 1'000'000), 65'536U);
    EXPECT_EQ(root.host_port("target"), (HostPort{"gateway.example", 443}));
    EXPECT_EQ(to_string(root.socket_address("listen").value()), "[::1]:80");
    EXPECT_EQ(root.prefixes("nets").size(), 3U);
    EXPECT_THAT(root.strings("words"), ElementsAre("a", "b"));
    EXPECT_EQ(root.choice("pick", 0, {{"one", 1}, {"two", 2}}), 2);
    root.finish();
    EXPECT_THAT(file.complaints(), IsEmpty());
}

TEST(Section, FallsBackWhereTheFileIsSilent)
{
    File file{""};
    Section& root = file.root;
    EXPECT_EQ(root.optional_string("text"), std::nullopt);
    EXPECT_TRUE(root.boolean("flag", true));
    EXPECT_EQ(root.integer("count", 7, 0, 100), 7);
    EXPECT_EQ(root.duration("time", 3s, 1s, 5s), Duration{3s});
    EXPECT_EQ(root.size("size", 5, 1, 9), 5U);
    EXPECT_EQ(root.host_port("target"), std::nullopt);
    EXPECT_EQ(root.socket_address("listen"), std::nullopt);
    EXPECT_EQ(root.file_path("path"), std::nullopt);
    EXPECT_THAT(root.prefixes("nets"), IsEmpty());
    EXPECT_THAT(root.strings("words"), IsEmpty());
    EXPECT_THAT(root.sections("list"), IsEmpty());
    EXPECT_EQ(root.choice("pick", 3, {{"one", 1}}), 3);
    EXPECT_TRUE(root.section("table").boolean("flag", true));
    EXPECT_FALSE(root.tagged_section("kind"));
    EXPECT_THAT(file.complaints(), IsEmpty());
}

TEST(Section, SaysWhatItExpected)
{
    File file{"text: [a]\n"
              "flag: yes\n"
              "count: 1e3\n"
              "time: 26s\n"
              "size: 64kb\n"
              "target: gateway\n"
              "listen: localhost:80\n"
              "nets: [10.0.0.1/8]\n"
              "words: [[a]]\n"
              "pick: three\n"
              "list: {a: b}\n"
              "table: word\n"
              "path: ''\n"
              "nothing:\n"};
    Section& root = file.root;
    root.required_string("text");
    root.boolean("flag", false);
    root.integer("count", 1, 1, 100);
    root.duration("time", 10s, 1s, 25s);
    root.size("size", 1, 1, 100);
    root.host_port("target");
    root.socket_address("listen");
    root.prefixes("nets");
    root.strings("words");
    root.choice("pick", 0, {{"one", 1}, {"two", 2}});
    root.sections("list");
    root.section("table");
    root.file_path("path");
    root.required_string("nothing");
    EXPECT_THAT(
        file.complaints(),
        ElementsAre(
            "agent.yaml:1:7: text: expected text", "agent.yaml:2:7: flag: expected true or false",
            "agent.yaml:3:8: count: expected a whole number from 1 to 100",
            "agent.yaml:4:7: time: must be from 1s to 25s",
            "agent.yaml:5:7: size: expected a size such as \"64KiB\" or \"4MiB\"",
            "agent.yaml:6:9: target: expected HOST:PORT such as \"gateway.example:443\"",
            "agent.yaml:7:9: listen: expected ADDRESS:PORT such as \"0.0.0.0:443\" or "
            "\"[::]:443\"",
            "agent.yaml:8:8: nets[0]: expected an address block such as \"10.0.0.0/8\" or "
            "\"::1\"",
            "agent.yaml:9:9: words[0]: expected text", "agent.yaml:10:7: pick: expected one or two",
            "agent.yaml:11:7: list: expected a list",
            "agent.yaml:12:8: table: expected a section with keys",
            "agent.yaml:13:7: path: expected a path", "agent.yaml:14:1: nothing: expected text"));
}

TEST(Section, RefusesNumbersOutOfRange)
{
    for (const char* bad : {"-1", "101", "99999999999999999999", "", "1 2", "0x10"}) {
        File file{fmt::format("count: \"{}\"", bad)};
        EXPECT_EQ(file.root.integer("count", 7, 0, 100), 7);
        EXPECT_EQ(file.complaints().size(), 1U) << bad;
    }
}

TEST(Section, TakesATableWithEveryKeyCommentedOutForAnEmptyOne)
{
    File file{"limits:\n"
              "#  streams: 5\n"
              "words:\n"};
    Section limits = file.root.section("limits");
    EXPECT_EQ(limits.integer("streams", 9, 0, 10), 9);
    EXPECT_THAT(file.root.strings("words"), IsEmpty());
    EXPECT_THAT(file.complaints(), IsEmpty());
}

TEST(Section, KnowsTheTagsOfAList)
{
    File file{"services:\n"
              "  - !Wss {listen: a}\n"
              "  - !Ws\n"
              "    listen: b\n"
              "tls: !SelfSigned\n"};
    std::vector<Section> services = file.root.tagged_sections("services");
    ASSERT_EQ(services.size(), 2U);
    EXPECT_EQ(services[0].tag(), "!Wss");
    EXPECT_EQ(services[1].tag(), "!Ws");
    EXPECT_EQ(services[1].required_string("listen"), "b");
    EXPECT_EQ(services[1].where("listen"), "agent.yaml:4:13: services[1].listen");
    EXPECT_EQ(file.root.tagged_section("tls").value().tag(), "!SelfSigned");
    EXPECT_THAT(file.complaints(), IsEmpty());
}

TEST(Section, RefusesATagWhereNoneBelongs)
{
    File file{"text: !Secret x\n"
              "table: !Kind {}\n"
              "items: [!a {}, !!str b]\n"};
    file.root.optional_string("text");
    file.root.section("table");
    file.root.sections("items");
    EXPECT_EQ(file.complaints().size(), 5U) << "one of them because a word is no section";
    EXPECT_EQ(file.complaints()[0],
              "agent.yaml:1:7: text: a tag such as !Secret has no place here");
}

TEST(Section, ListsTheTagsItKnows)
{
    File file{"list: [{}, !Zzz {}]\n"};
    for (const Section& section : file.root.tagged_sections("list"))
        section.report_tag({"!Wss", "!Ws"});
    EXPECT_THAT(file.complaints(),
                ElementsAre("agent.yaml:1:8: list[0]: expected !Wss or !Ws before the section",
                            "agent.yaml:1:12: list[1]: unknown tag !Zzz; expected !Wss or !Ws"));
}

TEST(Section, StartsARelativePathAtTheFolderOfTheFile)
{
    Problems problems{"/etc/narrowlink/gateway.yaml"};
    const Value document = parse_document("a: keys/cert.pem\nb: /tmp/key.pem\n", problems);
    Section root{document, "", problems};
    EXPECT_EQ(root.file_path("a"), "/etc/narrowlink/keys/cert.pem");
    EXPECT_EQ(root.file_path("b"), "/tmp/key.pem");
}

TEST(Section, SuggestsOnlyWhatIsClose)
{
    File file{"lsiten: 1\n"
              "listne: 1\n"
              "publik: 1\n"
              "listen_plan: 1\n"
              "qqqqqq: 1\n"};
    for (const char* key : {"listen", "listen_plain", "public", "log"})
        file.root.optional_string(key);
    file.root.finish();
    using testing::EndsWith;
    EXPECT_THAT(file.complaints(),
                ElementsAre(EndsWith("did you mean `listen`?"), EndsWith("did you mean `listen`?"),
                            EndsWith("did you mean `public`?"),
                            EndsWith("did you mean `listen_plain`?"), EndsWith("unknown key")));
}

TEST(Document, RefusesWhatIsNotYaml)
{
    EXPECT_THAT(File{"a: [1, 2\nb: c"}.complaints(),
                ElementsAre(testing::StartsWith("agent.yaml:2:")));
    EXPECT_THAT(File{"a: b: c"}.complaints(), ElementsAre(testing::HasSubstr("this is not YAML")));
    EXPECT_THAT(File{"\t- a"}.complaints(), ElementsAre(testing::StartsWith("agent.yaml:1:")));
}

TEST(Document, RefusesAKeyGivenTwice)
{
    EXPECT_THAT(File{"a: 1\nb: 2\na: 3\n"}.complaints(),
                ElementsAre("agent.yaml:3:1: the key `a` is given twice"));
}

TEST(Document, RefusesAnchorsAndAliases)
{
    EXPECT_THAT(File{"a: &x 1\nb: *x\n"}.complaints(),
                ElementsAre(testing::StartsWith("agent.yaml:1:4: anchors")));
    EXPECT_THAT(File{"a: &x [lol, lol]\nb: &y [*x, *x]\n"}.complaints(), testing::SizeIs(1));
}

TEST(Document, RefusesTooMuch)
{
    EXPECT_THAT(File{std::string(largest_config + 1, '#')}.complaints(),
                ElementsAre("agent.yaml:1:1: the file is larger than 1 MiB"));
    EXPECT_THAT(File{std::string(100, '[') + std::string(100, ']')}.complaints(),
                ElementsAre(testing::HasSubstr("levels of nesting")));
    EXPECT_THAT(File{std::string(largest_config, '[')}.complaints(), testing::SizeIs(1));
    EXPECT_THAT(File{"a: 1\n---\nb: 2\n"}.complaints(),
                ElementsAre(testing::HasSubstr("only one document")));
    std::string many;
    for (int i = 0; i < 1'001; ++i)
        many += fmt::format("k{}: 1\n", i);
    EXPECT_THAT(File{many}.complaints(), ElementsAre("agent.yaml:1001:1: more than 1000 keys"));
}

TEST(Document, RefusesAKeyThatIsNoWord)
{
    EXPECT_THAT(File{"? [a]\n: b\n"}.complaints(),
                ElementsAre(testing::HasSubstr("a key must be a word")));
}

TEST(ProblemText, StaysOnOneLine)
{
    const Problem problem{"a.yaml", 1, 2, "k\n\x1b[2J", "unknown key"};
    EXPECT_EQ(to_string(problem), "a.yaml:1:2: k??[2J: unknown key");
}

} // namespace
} // namespace narrowlink::config

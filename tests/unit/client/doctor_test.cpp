#include "doctor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <gmock/gmock.h>

namespace narrowlink::client {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const IpAddress gateway = *IpAddress::parse("198.51.100.2");
const IpAddress external = *IpAddress::parse("203.0.113.1");

nat::Behaviour behaviour(nat::Mapping mapping, nat::Allocation allocation)
{
    return {.reach = nat::Reach::open,
            .mapping = mapping,
            .filtering = nat::Filtering::address_and_port_dependent,
            .allocation = allocation};
}

const nat::Behaviour ordinary =
    behaviour(nat::Mapping::endpoint_independent, nat::Allocation::preserving);
const nat::Behaviour hard =
    behaviour(nat::Mapping::address_and_port_dependent, nat::Allocation::random);

DoctorFacts::Probed probed_v4()
{
    const std::vector<SocketAddress> ports{{gateway, 443}, {gateway, 8'444}};
    return {.family = control::Family::v4,
            .asked = ports,
            .answered = ports,
            .nat = "what stands there",
            .behaviour = ordinary,
            .seen = external};
}

DoctorFacts healthy()
{
    DoctorFacts facts;
    facts.configuration_file = "/etc/narrowlink/client.yaml";
    facts.state = "/state";
    facts.gateway = {"gateway.example", 443};
    facts.pinned = true;
    facts.now = UnixTime{1'000'000s};
    facts.token_expires = facts.now + std::chrono::days{30};
    facts.dialled = {{.ip = gateway, .took = 5ms, .trouble = {}}};
    facts.door = DoctorFacts::Door{.failure = {}, .sentence = "", .clock_ahead = -2s};
    facts.session = DoctorFacts::Session{.trouble = "",
                                         .token_refused = false,
                                         .name = "me",
                                         .user = "ann",
                                         .has_probe_service = true};
    facts.probed = {probed_v4()};
    facts.router = DoctorFacts::Router{
        .mode = PortMappingMode::automatic,
        .address = IpAddress::parse("192.168.1.1"),
        .asked = {{PortMappingProtocol::nat_pmp, RouterAnswer{external, 40'000, 60s}},
                  {PortMappingProtocol::upnp, std::nullopt}}};
    facts.path = DoctorFacts::Path{.mtu = 1'500, .trouble = {}};
    facts.status_trouble = "";
    return facts;
}

Check check(const DoctorFacts& facts, std::string_view name)
{
    const std::vector<Check> checks = judge(facts);
    const auto found = std::ranges::find(checks, name, &Check::name);
    if (found == checks.end()) {
        ADD_FAILURE() << "there is no check " << name;
        return {};
    }
    return *found;
}

std::vector<std::string> names(const std::vector<Check>& checks, Verdict verdict)
{
    std::vector<std::string> found;
    for (const Check& c : checks)
        if (c.verdict == verdict)
            found.push_back(c.name);
    return found;
}

} // namespace

TEST(Doctor, FindsNothingWhereAllIsWell)
{
    const std::vector<Check> checks = judge(healthy());
    EXPECT_THAT(names(checks, Verdict::ok),
                ElementsAre("configuration", "name", "tcp", "tls", "clock", "session", "udp-ipv4",
                            "nat-ipv4", "port-mapping", "mtu", "proxy", "status"));
    EXPECT_EQ(checks.size(), 12U);
    for (const Check& c : checks)
        EXPECT_THAT(c.remedy, IsEmpty()) << c.name;
    EXPECT_EQ(exit_code(checks), ExitCode::success);
}

TEST(Doctor, SaysOfEachTroubleWhatItIsAndWhatToDo)
{
    struct Case {
        const char* check;
        Verdict verdict;
        const char* finding;
        std::function<void(DoctorFacts&)> spoil;
    };

    using Facts = DoctorFacts;
    const std::vector<Case> cases{
        {"configuration", Verdict::failed, "no gateway is known",
         [](Facts& f) { f.configuration_trouble = "no gateway is known"; }},
        {"name", Verdict::failed, "gateway.example cannot be resolved: no such name",
         [](Facts& f) { f.name_trouble = "no such name"; }},
        {"tcp", Verdict::failed, "198.51.100.2:443: Connection refused",
         [](Facts& f) {
             f.dialled = {{.ip = gateway, .took = {}, .trouble = "Connection refused"}};
         }},
        {"tcp", Verdict::warning, "but [2001:db8::1]:443: no answer",
         [](Facts& f) {
             f.dialled.push_back(
                 {.ip = *IpAddress::parse("2001:db8::1"), .took = {}, .trouble = "no answer"});
         }},
        {"tls", Verdict::failed, "another key",
         [](Facts& f) { f.door->failure = io::WebFailure::tls_pin_mismatch; }},
        {"proxy", Verdict::failed, "not the gateway's",
         [](Facts& f) { f.door->failure = io::WebFailure::tls_pin_mismatch; }},
        {"tls", Verdict::failed, "is not trusted",
         [](Facts& f) {
             f.door->failure = io::WebFailure::tls_not_trusted;
             f.door->sentence = "the certificate is not trusted";
         }},
        {"tls", Verdict::warning, "without TLS", [](Facts& f) { f.tls = false; }},
        {"clock", Verdict::warning, "3600 s behind the gateway's",
         [](Facts& f) { f.door->clock_ahead = -3'600s; }},
        {"clock", Verdict::warning, "61 s ahead of the gateway's",
         [](Facts& f) { f.door->clock_ahead = 61s; }},
        {"session", Verdict::failed, "the token has been revoked",
         [](Facts& f) {
             f.session->trouble = "the token has been revoked";
             f.session->token_refused = true;
         }},
        {"session", Verdict::warning, "expires at 1970-01-12 13:47 UTC",
         [](Facts& f) { f.token_expires = f.now + 1min; }},
        {"udp", Verdict::warning, "no probe service",
         [](Facts& f) { f.session->has_probe_service = false; }},
        {"udp", Verdict::warning, "no address of a family in which the gateway has one",
         [](Facts& f) { f.probed.clear(); }},
        {"udp-ipv4", Verdict::warning, "UDP is blocked",
         [](Facts& f) { f.probed[0].answered.clear(); }},
        {"udp-ipv4", Verdict::warning,
         "1 of 2 probe ports of the gateway answer; 198.51.100.2:8444",
         [](Facts& f) { f.probed[0].answered.pop_back(); }},
        {"nat-ipv4", Verdict::warning, "no direct path to anybody",
         [](Facts& f) { f.probed[0].behaviour = nat::Behaviour{.reach = nat::Reach::blocked}; }},
        {"nat-ipv4", Verdict::warning, "not to those behind NATs that count ports",
         [](Facts& f) {
             f.probed[0].behaviour = hard;
             f.router->asked.clear();
         }},
        {"port-mapping", Verdict::warning, "NAT-PMP does not answer, UPnP refuses",
         [](Facts& f) {
             f.router->asked[0].answer.reset();
             f.router->asked[1].answer = RouterAnswer{};
         }},
        {"port-mapping", Verdict::warning, "there is a second NAT",
         [](Facts& f) {
             f.router->asked[0].answer->external_ip = *IpAddress::parse("100.64.0.2");
         }},
        {"mtu", Verdict::warning, "1250 bytes", [](Facts& f) { f.path->mtu = 1'250; }},
        {"mtu", Verdict::failed, "direct paths need 1,248", [](Facts& f) { f.path->mtu = 1'247; }},
        {"mtu", Verdict::warning, "no route",
         [](Facts& f) { f.path = DoctorFacts::Path{.mtu = {}, .trouble = "no route"}; }},
        {"proxy", Verdict::warning, "https_proxy is set",
         [](Facts& f) { f.proxy_variables = {"https_proxy"}; }},
        {"status", Verdict::warning, "Read-only file system",
         [](Facts& f) { f.status_trouble = "Read-only file system"; }},
    };
    for (const Case& c : cases) {
        DoctorFacts facts = healthy();
        c.spoil(facts);
        const Check found = check(facts, c.check);
        EXPECT_EQ(found.verdict, c.verdict) << c.check << ": " << c.finding;
        EXPECT_THAT(found.finding, HasSubstr(c.finding));
        EXPECT_THAT(found.remedy, Not(IsEmpty())) << c.finding;
        EXPECT_EQ(exit_code(judge(facts)),
                  c.verdict == Verdict::failed ? ExitCode::unhealthy : ExitCode::success)
            << c.finding;
    }
}

TEST(Doctor, SkipsWhatCannotBeLookedAt)
{
    DoctorFacts facts;
    facts.gateway = {"gateway.example", 443};
    facts.name_trouble = "no such name";
    const std::vector<Check> checks = judge(facts);
    EXPECT_THAT(names(checks, Verdict::failed), ElementsAre("name"));
    EXPECT_THAT(names(checks, Verdict::skipped),
                ElementsAre("tcp", "tls", "clock", "session", "udp", "nat", "port-mapping", "mtu",
                            "proxy", "status"));
    facts.configuration_trouble = "broken";
    EXPECT_EQ(judge(facts).size(), 1U);
}

TEST(Doctor, CountsAPortMappingAsAWayOutOfAHardNat)
{
    DoctorFacts facts = healthy();
    facts.probed[0].behaviour = hard;
    const Check found = check(facts, "nat-ipv4");
    EXPECT_EQ(found.verdict, Verdict::ok);
    EXPECT_THAT(found.finding, HasSubstr("with the router's port mapping to all"));
    facts.probed[0].seen = IpAddress::parse("203.0.113.9");
    EXPECT_EQ(check(facts, "nat-ipv4").verdict, Verdict::warning) << "a mapping of another NAT";
}

TEST(Doctor, KnowsWhichPeersCanBeReached)
{
    EXPECT_THAT(reachable_peers(ordinary).no, IsEmpty());
    EXPECT_EQ(reachable_peers(hard).yes.size(), 2U);
    EXPECT_THAT(reachable_peers(hard).no, ElementsAre("behind NATs that count ports",
                                                      "behind NATs that choose ports at random"));
    EXPECT_THAT(reachable_peers({.reach = nat::Reach::blocked}).yes, IsEmpty());
}

TEST(Doctor, PrintsTextAndJson)
{
    const std::vector<Check> checks{
        {"name", Verdict::ok, "g is 192.0.2.1", ""},
        {"udp-ipv4", Verdict::warning, "UDP is \"blocked\"", "let it out"},
        {"mtu", Verdict::skipped, "not checked", ""}};
    EXPECT_EQ(render_text(checks), "ok    name      g is 192.0.2.1\n"
                                   "warn  udp-ipv4  UDP is \"blocked\"\n"
                                   "                > let it out\n"
                                   "skip  mtu       not checked\n");
    EXPECT_EQ(
        render_json(checks),
        R"([{"check":"name","verdict":"ok","finding":"g is 192.0.2.1","remedy":""},)"
        R"({"check":"udp-ipv4","verdict":"warn","finding":"UDP is \"blocked\"","remedy":"let it out"},)"
        R"({"check":"mtu","verdict":"skip","finding":"not checked","remedy":""}])"
        "\n");
}

} // namespace narrowlink::client

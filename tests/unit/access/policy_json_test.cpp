#include "narrowlink/access/policy.hpp"
#include "samples.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

namespace narrowlink::access {
namespace {

Result<Policy> parse(std::string_view text, std::size_t* faulty_rule = nullptr)
{
    return policy_from_json(boost::json::parse({text.data(), text.size()}), faulty_rule);
}

Result<Policy> parse_rule(std::string_view rule)
{
    return parse(R"({"id":1,"type":"WhiteList","policies":[)" + std::string{rule} + "]}");
}

} // namespace

TEST(PolicyJson, SurvivesBothWays)
{
    const Policy policy = policy_token().policy;
    EXPECT_EQ(policy_from_json(to_json(policy)).value(), policy);
    EXPECT_EQ(boost::json::serialize(to_json(policy)),
              R"({"id":7,"type":"BlackList","policies":[{"Ip":["home","10.0.0.0/8",22,"TCP"]},)"
              R"({"Domain":["Any","*.example.com",0,"Any"]}]})");
    const Policy largest = white_list({}, ~std::uint64_t{0});
    EXPECT_EQ(policy_from_json(to_json(largest)).value(), largest);
}

TEST(PolicyJson, BringsPatternsIntoOneSpelling)
{
    const Policy policy = parse_rule(R"({"Domain":["Any","*.Example.COM.",0,"Any"]})").value();
    EXPECT_EQ(policy, white_list({domain_rule("*.example.com")}));
}

TEST(PolicyJson, ReadsEveryFieldOfARule)
{
    const Policy policy = parse_rule(R"({"Ip":["a-1","2001:db8::/32",65535,"UDP"]})").value();
    Rule rule = ip_rule("2001:db8::/32");
    rule.agent = "a-1";
    rule.port = 65'535;
    rule.protocol = Protocol::udp;
    EXPECT_EQ(policy.rules, std::vector{rule});
    EXPECT_EQ(parse_rule(R"({"Ip":["Any","10.0.0.1",0,"Any"]})").value().rules,
              std::vector{ip_rule("10.0.0.1/32")});
}

TEST(PolicyJson, NamesTheReasonOfARefusal)
{
    struct Row {
        std::string_view rule;
        PolicyError error;
    };

    const Row rows[] = {
        {"1", PolicyError::malformed_rule},
        {"{}", PolicyError::malformed_rule},
        {R"({"ip":["Any","10.0.0.0/8",0,"Any"]})", PolicyError::malformed_rule},
        {R"({"Ip":{}})", PolicyError::malformed_rule},
        {R"({"Ip":["Any","10.0.0.0/8",0]})", PolicyError::malformed_rule},
        {R"({"Ip":["Any","10.0.0.0/8",0,"Any","x"]})", PolicyError::malformed_rule},
        {R"({"Ip":["Any","10.0.0.0/8",0,"Any"],"Domain":["Any","*",0,"Any"]})",
         PolicyError::malformed_rule},
        {R"({"Ip":[null,"10.0.0.0/8",0,"Any"]})", PolicyError::bad_agent},
        {R"({"Ip":["","10.0.0.0/8",0,"Any"]})", PolicyError::bad_agent},
        {R"({"Ip":["a b","10.0.0.0/8",0,"Any"]})", PolicyError::bad_agent},
        {R"({"Ip":["Any","10.0.0.1/8",0,"Any"]})", PolicyError::bad_prefix},
        {R"({"Ip":["Any","10.0.0.0/33",0,"Any"]})", PolicyError::bad_prefix},
        {R"({"Ip":["Any","example.com",0,"Any"]})", PolicyError::bad_prefix},
        {R"({"Ip":["Any","10.0.0.0\u0000x/8",0,"Any"]})", PolicyError::bad_prefix},
        {R"({"Ip":["Any",10,0,"Any"]})", PolicyError::bad_prefix},
        {R"({"Domain":["Any","10.0.0.1",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","::1",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","10.0.0.0/8",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","*.",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","a.*.com",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","*a.com",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","a..com",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any","b\u00fccher.example",0,"Any"]})", PolicyError::bad_domain},
        {R"({"Domain":["Any",null,0,"Any"]})", PolicyError::bad_domain},
        {R"({"Ip":["Any","10.0.0.0/8",65536,"Any"]})", PolicyError::bad_port},
        {R"({"Ip":["Any","10.0.0.0/8",-1,"Any"]})", PolicyError::bad_port},
        {R"({"Ip":["Any","10.0.0.0/8","22","Any"]})", PolicyError::bad_port},
        {R"({"Ip":["Any","10.0.0.0/8",22.5,"Any"]})", PolicyError::bad_port},
        {R"({"Ip":["Any","10.0.0.0/8",22,"tcp"]})", PolicyError::bad_protocol},
        {R"({"Ip":["Any","10.0.0.0/8",22,6]})", PolicyError::bad_protocol},
    };
    for (const Row& row : rows) {
        const auto policy = parse_rule(row.rule);
        ASSERT_FALSE(policy) << row.rule;
        EXPECT_EQ(policy.error(), row.error) << row.rule << ": " << policy.error().message();
    }
}

TEST(PolicyJson, SaysWhichRuleIsFaulty)
{
    std::size_t faulty = 99;
    EXPECT_FALSE(parse(R"({"id":1,"type":"WhiteList","policies":[
                            {"Ip":["Any","10.0.0.0/8",0,"Any"]}, {"Ip":["Any","10/8",0,"Any"]}]})",
                       &faulty));
    EXPECT_EQ(faulty, 1U);
}

TEST(PolicyJson, RefusesWhatIsNoPolicy)
{
    for (const std::string_view text :
         {"[]", "{}", R"({"id":1,"type":"WhiteList"})", R"({"type":"WhiteList","policies":[]})",
          R"({"id":-1,"type":"WhiteList","policies":[]})",
          R"({"id":1,"type":"WhiteList","policies":{}})",
          R"({"id":1,"type":"WhiteList","policies":[],"unless":[]})"})
        EXPECT_EQ(parse(text).error(), PolicyError::malformed) << text;
    EXPECT_EQ(parse(R"({"id":1,"type":"whitelist","policies":[]})").error(),
              PolicyError::unknown_type);
}

TEST(PolicyJson, HasAMostNumberOfRules)
{
    boost::json::value json = to_json(white_list(std::vector(max_rules, ip_rule("::/0"))));
    EXPECT_TRUE(policy_from_json(json));
    auto& rules = json.get_object().at("policies").get_array();
    rules.push_back(rules.front());
    EXPECT_EQ(policy_from_json(json).error(), PolicyError::too_many_rules);
}

} // namespace narrowlink::access

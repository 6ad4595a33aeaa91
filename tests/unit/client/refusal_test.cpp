#include "refusal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace narrowlink::client {
namespace {

using testing::HasSubstr;

struct Row {
    unsigned status;
    const char* proxy_status;
    ExitCode code;
    const char* sentence;
};

// RFC 9209 §2.3: what an agent answers, see src/agent/target.cpp.
constexpr Row table[] = {
    {403, "narrowlink; error=destination_ip_prohibited", ExitCode::denied, "does not allow"},
    {403, "", ExitCode::denied, "does not allow"},
    {502, "narrowlink; error=dns_error", ExitCode::target_not_resolved, "cannot resolve the name"},
    {504, "narrowlink; error=dns_timeout", ExitCode::target_not_resolved,
     "could not resolve the name"},
    {502, "narrowlink; error=connection_refused", ExitCode::target_refused, "connection refused"},
    {504, "narrowlink; error=connection_timeout", ExitCode::target_timed_out, "timed out"},
    {502, "narrowlink; error=destination_ip_unroutable", ExitCode::target_unreachable, "no route"},
    {400, "narrowlink; error=http_request_error", ExitCode::connection_lost, "status 400"},
    {502, "narrowlink; error=something_new", ExitCode::connection_lost, "status 502"},
    {503, "", ExitCode::connection_lost, "status 503"},
};

TEST(Refusal, HasASentenceAndAnExitCodeForEachReason)
{
    std::set<std::string> sentences;
    for (const Row& row : table) {
        const Failure failure =
            refusal("home", {"db.example", 5432}, {row.status, row.proxy_status});
        EXPECT_EQ(failure.code(), row.code) << row.status << row.proxy_status;
        EXPECT_THAT(failure.what(), HasSubstr(row.sentence));
        EXPECT_THAT(failure.what(), HasSubstr("agent \"home\""));
        EXPECT_THAT(failure.what(), HasSubstr("db.example"));
        sentences.insert(failure.what());
    }
    EXPECT_EQ(sentences.size(), std::size(table) - 1) << "only the two denials are the same";
}

TEST(Refusal, FindsTheReasonAmongOtherParameters)
{
    for (const char* field :
         {"narrowlink; error=connection_refused; details=\"x\"",
          "narrowlink;error=connection_refused", "narrowlink; next-hop=a; error=connection_refused",
          "narrowlink; error=connection_refused, other",
          "narrowlink; error=connection_refused,other; error=dns_error"})
        EXPECT_EQ(refusal("home", {"a", 1}, {502, field}).code(), ExitCode::target_refused)
            << field;
    EXPECT_EQ(refusal("home", {"a", 1}, {502, "narrowlink; error=connection_refused_again"}).code(),
              ExitCode::connection_lost);
}

TEST(Refusal, PutsBracketsAroundAnIpv6Target)
{
    EXPECT_THAT(
        refusal("home", {"2001:db8::1", 22}, {502, "narrowlink; error=connection_refused"}).what(),
        HasSubstr("[2001:db8::1]:22"));
}

} // namespace
} // namespace narrowlink::client

#include "refusal.hpp"

#include <string_view>

#include <fmt/format.h>

namespace narrowlink::client {
namespace {

/// The `error` parameter of a Proxy-Status field (RFC 9209 §2.1.1).
std::string_view error_type(std::string_view field)
{
    constexpr std::string_view key = "error=";
    const std::size_t at = field.find(key);
    if (at == std::string_view::npos)
        return {};
    const std::string_view rest = field.substr(at + key.size());
    return rest.substr(0, rest.find_first_of(";, "));
}

} // namespace

Failure refusal(const std::string& agent, const HostPort& target, const quic::Response& response)
{
    const std::string where = to_string(target);
    const std::string_view error = error_type(response.proxy_status);
    if (error == "connection_refused")
        return {ExitCode::target_refused,
                fmt::format("nothing listens on {} as seen from agent \"{}\": connection refused",
                            where, agent)};
    if (error == "connection_timeout")
        return {ExitCode::target_timed_out,
                fmt::format("{} did not answer agent \"{}\" in time: connection timed out", where,
                            agent)};
    if (error == "dns_error")
        return {ExitCode::target_not_resolved,
                fmt::format("agent \"{}\" cannot resolve the name {}: check its spelling and the "
                            "agent's DNS",
                            agent, target.host)};
    if (error == "dns_timeout")
        return {ExitCode::target_not_resolved,
                fmt::format("agent \"{}\" could not resolve the name {} in time", agent,
                            target.host)};
    if (error == "destination_ip_unroutable")
        return {ExitCode::target_unreachable,
                fmt::format("agent \"{}\" has no route to {}", agent, where)};
    if (response.status == 403)
        return {ExitCode::denied,
                fmt::format("the policy of this client does not allow {} on agent \"{}\"; ask the "
                            "gateway's owner for a token that does",
                            where, agent)};
    return {ExitCode::connection_lost,
            fmt::format("agent \"{}\" refused {} with status {}", agent, where, response.status)};
}

} // namespace narrowlink::client

#include "narrowlink/program/program.hpp"

#include "narrowlink/io/files.hpp"

#include <algorithm>
#include <string_view>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::program {
namespace {

constexpr std::string_view saved_join = "join";

/// Splits `wss://host:port/path`.
std::optional<io::ConnectOptions> parse_gateway_url(std::string_view url)
{
    io::ConnectOptions options;
    options.tls = url.starts_with("wss://");
    const std::string_view rest = url.substr(url.find("://") + 3);
    const std::size_t slash = rest.find('/');
    auto address = HostPort::parse(rest.substr(0, slash));
    if (!address)
        return std::nullopt;
    options.gateway = std::move(*address);
    options.path = slash == std::string_view::npos ? "/" : rest.substr(slash);
    return options;
}

/// What a token says it is for. Only the gateway can verify it; this is for a better sentence.
std::optional<access::TokenKind> claimed_kind(std::string_view token)
{
    const std::size_t first = token.find('.');
    const std::size_t second = token.find('.', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos)
        return std::nullopt;
    const auto payload = from_base64url(token.substr(first + 1, second - first - 1));
    if (!payload)
        return std::nullopt;
    boost::system::error_code error;
    const boost::json::value claims = boost::json::parse(as_text(*payload), error);
    const auto* object = error ? nullptr : claims.if_object();
    const auto* kind = object == nullptr ? nullptr : object->if_contains("kind");
    if (kind == nullptr || !kind->is_string())
        return std::nullopt;
    return access::parse_token_kind(std::string_view{kind->as_string()});
}

void check_kind(access::TokenKind wanted, const std::string& token, const std::string& where)
{
    const auto kind = claimed_kind(token);
    if (!kind || *kind == wanted)
        return;
    throw Failure{ExitCode::token_refused,
                  fmt::format("{}the token is for {} {}; issue one for {} {} with "
                              "`narrowlink-gateway token {} --name NAME`",
                              where, *kind == access::TokenKind::agent ? "an" : "a",
                              access::to_string(*kind),
                              wanted == access::TokenKind::agent ? "an" : "a",
                              access::to_string(wanted), access::to_string(wanted))};
}

Membership membership_of(access::TokenKind kind, const config::Endpoint& endpoint)
{
    Membership membership;
    membership.gateway.tls = endpoint.protocol == config::Endpoint::Protocol::wss;
    membership.gateway.gateway = endpoint.gateway.value;
    membership.gateway.bearer = endpoint.token.value;
    if (endpoint.pin)
        if (const auto pin = crypto::Pin::parse(*endpoint.pin))
            membership.gateway.pin = pin->bytes;
    for (const auto& policy : endpoint.policies)
        membership.policies.push_back(policy.value);
    check_kind(kind, endpoint.token.value, endpoint.token.where + ": ");
    return membership;
}

} // namespace

Membership membership_of(access::TokenKind kind, const std::string& join, const std::string& where)
{
    const auto parsed = access::parse_join_string(join);
    if (!parsed)
        throw Failure{ExitCode::configuration,
                      fmt::format("{}{}", where, parsed.error().message())};
    auto gateway = parse_gateway_url(parsed->gateway);
    if (!gateway)
        throw Failure{ExitCode::configuration,
                      fmt::format("{}the join string names no usable gateway: {}", where,
                                  parsed->gateway)};
    Membership membership{std::move(*gateway), {}};
    membership.gateway.bearer = parsed->tokens.front();
    membership.policies.assign(parsed->tokens.begin() + 1, parsed->tokens.end());
    if (parsed->pin)
        membership.gateway.pin = parsed->pin->bytes;
    check_kind(kind, membership.gateway.bearer, where);
    return membership;
}

Membership find_membership(access::TokenKind kind, const std::optional<std::string>& command_line,
                           const config::Membership& configured,
                           const std::filesystem::path& state)
{
    if (command_line)
        return membership_of(kind, *command_line, "--join: ");
    if (configured.join)
        return membership_of(kind, configured.join->value, configured.join->where + ": ");
    if (!configured.endpoints.empty())
        return membership_of(kind, configured.endpoints.front());
    if (const auto saved = io::read_file(state / saved_join, access::max_join_string_size))
        return membership_of(kind, *saved, fmt::format("{}: ", (state / saved_join).string()));
    throw Failure{ExitCode::configuration,
                  kind == access::TokenKind::client
                      ? "no gateway is known; run `narrowlink-client join STRING` with the string "
                        "that `narrowlink-gateway token client --name NAME` prints, or give it "
                        "with --join"
                      : "no gateway is known; give --join STRING with the string that "
                        "`narrowlink-gateway token agent --name NAME` prints, or `join:` in "
                        "agent.yaml"};
}

void save_join_string(const std::filesystem::path& state, const std::string& join)
{
    const std::filesystem::path file = state / saved_join;
    if (const auto written = io::write_file_atomically(file, as_bytes(join)); !written)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot write {}: {}", file.string(), written.error().message())};
}

} // namespace narrowlink::program

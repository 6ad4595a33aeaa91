#include "narrowlink/gateway/tokens.hpp"

#include "listeners.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/clock.hpp"

#include <cstdio>
#include <utility>

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

access::Claims make_claims(const IssueCommand& command, Random& random)
{
    const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(command.expires_after);
    return {.id = access::make_token_id(random),
            .user = command.user,
            .name = command.name,
            .expires = io::unix_now() + lifetime};
}

std::string join_string(const State::Endpoint& endpoint, std::vector<std::string> tokens)
{
    return access::format({endpoint.url, endpoint.pin, std::move(tokens)});
}

/// The id of a policy token that this gateway has signed.
std::uint64_t policy_id(const std::string& token, const State& state, const std::string& user)
{
    const auto verified = access::verify(token, state.secret(), io::unix_now());
    if (!verified)
        throw Failure{ExitCode::usage, fmt::format("--policy: {}", verified.error().message())};
    const auto* policy = std::get_if<access::PolicyToken>(&*verified);
    if (policy == nullptr)
        throw Failure{ExitCode::usage, "--policy: this is no policy token; make one with "
                                       "`narrowlink-gateway token policy`"};
    if (policy->claims.user != user)
        throw Failure{ExitCode::usage,
                      fmt::format("--policy: the token belongs to user \"{}\", not \"{}\"",
                                  policy->claims.user, user)};
    return policy->policy.id;
}

State::Endpoint endpoint_for(const IssueCommand& command, State& state,
                             const config::GatewayConfig& config)
{
    KnownEndpoint known = current_endpoint(state, config, command.public_address);
    if (known.is_guess)
        fmt::print(stderr,
                   "note: the gateway has not run on this state directory yet, so the join string "
                   "names {}; if nodes reach it elsewhere, say --public HOST:PORT\n",
                   known.endpoint.url);
    return std::move(known.endpoint);
}

std::string date(UnixTime time)
{
    return fmt::format("{:%Y-%m-%d %H:%M:%S}Z", fmt::gmtime(time.time_since_epoch().count()));
}

} // namespace

void issue_token(const IssueCommand& command, State& state, const config::GatewayConfig& config,
                 Random& random)
{
    const access::Claims claims = make_claims(command, random);
    switch (command.kind) {
    case access::TokenKind::policy: {
        access::Policy policy = command.policy;
        if (policy.id == 0)
            policy.id = access::make_policy_id(random);
        // What is printed must be readable again: the reader checks patterns and names.
        std::size_t faulty = 0;
        if (const auto checked = access::policy_from_json(access::to_json(policy), &faulty);
            !checked)
            throw Failure{ExitCode::usage,
                          fmt::format("--rule number {}: {}", faulty + 1,
                                      checked.error().message())};
        fmt::print("{}\n", state.issue(access::PolicyToken{claims, std::move(policy)}));
        return;
    }
    case access::TokenKind::client: {
        access::ClientToken token{claims, {}};
        for (const std::string& policy : command.policy_tokens)
            token.policies.push_back(policy_id(policy, state, command.user));
        std::vector<std::string> tokens{state.issue(token)};
        tokens.insert(tokens.end(), command.policy_tokens.begin(), command.policy_tokens.end());
        fmt::print("{}\n", join_string(endpoint_for(command, state, config), std::move(tokens)));
        return;
    }
    case access::TokenKind::agent:
        fmt::print("{}\n", join_string(endpoint_for(command, state, config),
                                       {state.issue(access::AgentToken{claims})}));
        return;
    }
}

void list_tokens(const ListTokensCommand& command, const State& state)
{
    const std::vector<access::IssuedToken> tokens = state.tokens().list();
    if (command.json) {
        boost::json::array array;
        for (const access::IssuedToken& token : tokens)
            array.push_back(boost::json::object{
                {"id", token.id},
                {"kind", access::to_string(token.kind)},
                {"user", token.user},
                {"name", token.name},
                {"issued", date(token.issued)},
                {"expires", date(token.expires)},
                {"revoked", token.revoked}});
        fmt::print("{}\n", boost::json::serialize(array));
        return;
    }
    fmt::print("{:<16}  {:<6}  {:<16}  {:<24}  {:<20}  STATE\n", "ID", "KIND", "USER", "NAME",
               "EXPIRES");
    for (const access::IssuedToken& token : tokens)
        fmt::print("{:<16}  {:<6}  {:<16}  {:<24}  {:<20}  {}\n", token.id,
                   access::to_string(token.kind), token.user, token.name, date(token.expires),
                   token.revoked                       ? "revoked"
                   : token.expires <= io::unix_now() ? "expired"
                                                       : "valid");
}

void revoke_token(const RevokeCommand& command, State& state)
{
    if (!state.revoke(command.id))
        throw Failure{ExitCode::usage,
                      fmt::format("no token with the id \"{}\" was issued here; "
                                  "`narrowlink-gateway token list` shows those that were",
                                  command.id)};
    fmt::print(stderr, "token {} is revoked\n", command.id);
}

std::string first_join_lines(State& state, const State::Endpoint& endpoint, Random& random)
{
    IssueCommand agent{.kind = access::TokenKind::agent, .name = "home"};
    IssueCommand client{.kind = access::TokenKind::client, .name = "me"};
    const std::string agent_join =
        join_string(endpoint, {state.issue(access::AgentToken{make_claims(agent, random)})});
    const std::string client_join =
        join_string(endpoint, {state.issue(access::ClientToken{make_claims(client, random), {}})});
    return fmt::format("# On the machine to be reached, which will be called \"home\":\n"
                       "narrowlink-agent --join {}\n"
                       "# On the machine to reach it from:\n"
                       "narrowlink-client join {}\n"
                       "# Then, for example: narrowlink-client forward -n home -l 2222 "
                       "127.0.0.1:22\n",
                       agent_join, client_join);
}

} // namespace narrowlink::gateway

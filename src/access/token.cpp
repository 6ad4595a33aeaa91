// Theory of operation
//
// Goals: a gateway recognises its own tokens without keeping them, and nobody else can make or
// change one.
//
// Data flow
//   sign     Token ─▶ claims as JSON ─▶ JWS
//   verify   JWS ─▶ signature ─▶ JSON ─▶ expiry and shape ─▶ Token
// Nothing but the header is parsed before the signature is known to be ours.
//
// Limits: 16 KiB per token, JSON no deeper than a policy needs, 64 policies per client. The clock
// is the caller's, and so is revocation: a token cannot know that it was taken back.

#include "narrowlink/access/token.hpp"

#include "strict_json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace narrowlink::access {
namespace {

namespace json = boost::json;

constexpr JsonLimits claims_limits{.size = max_jws_size, .depth = 6};
constexpr std::size_t longest_name = 64;
constexpr std::size_t id_digits = 16;

bool is_token_id(std::string_view id)
{
    return id.size() == id_digits && std::ranges::all_of(id, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

json::object to_json(const Claims& claims, TokenKind kind)
{
    json::object object;
    const std::string_view kind_text = to_string(kind);
    object.emplace("jti", claims.id);
    object.emplace("kind", json::string{kind_text.data(), kind_text.size()});
    object.emplace("uid", claims.user);
    object.emplace("name", claims.name);
    object.emplace("exp", std::int64_t{claims.expires.time_since_epoch().count()});
    return object;
}

void add_claims(json::object&, const AgentToken&) {}

void add_claims(json::object& object, const ClientToken& token)
{
    json::array ids;
    for (const std::uint64_t id : token.policies)
        ids.emplace_back(id);
    object.emplace("policies", std::move(ids));
}

// The token's `pid` and the policy's `id` are one thing; it is written once.
void add_claims(json::object& object, const PolicyToken& token)
{
    json::value whole = to_json(token.policy);
    json::object policy;
    policy.emplace("type", std::move(whole.at("type")));
    policy.emplace("policies", std::move(whole.at("policies")));
    object.emplace("pid", token.policy.id);
    object.emplace("policy", std::move(policy));
}

std::optional<Claims> claims_from(const json::object& object)
{
    auto id = string_member(object, "jti");
    auto user = string_member(object, "uid");
    auto name = string_member(object, "name");
    const auto expires = date_member(object, "exp");
    if (!id || !is_token_id(*id) || !user || !is_valid_name(*user) || !name ||
        !is_valid_name(*name) || !expires)
        return std::nullopt;
    return Claims{*std::move(id), *std::move(user), *std::move(name),
                  UnixTime{std::chrono::seconds{*expires}}};
}

std::optional<std::vector<std::uint64_t>> policy_ids_from(const json::object& object)
{
    const json::value* const list = object.if_contains("policies");
    if (list == nullptr || !list->is_array() || list->get_array().size() > max_policies)
        return std::nullopt;
    std::vector<std::uint64_t> ids;
    for (const json::value& element : list->get_array()) {
        const auto id = to_unsigned(element);
        if (!id)
            return std::nullopt;
        ids.push_back(*id);
    }
    return ids;
}

std::optional<Policy> policy_of(const json::object& object)
{
    const json::value* const id = object.if_contains("pid");
    const json::value* const policy = object.if_contains("policy");
    if (id == nullptr || policy == nullptr || !policy->is_object())
        return std::nullopt;
    json::object whole = policy->get_object();
    if (!whole.emplace("id", *id).second)
        return std::nullopt; // two ids, and they might differ
    auto parsed = policy_from_json(whole);
    if (!parsed)
        return std::nullopt;
    return *std::move(parsed);
}

std::optional<Token> token_from(const json::object& object)
{
    auto claims = claims_from(object);
    const auto kind_text = string_member(object, "kind");
    const auto kind = kind_text ? parse_token_kind(*kind_text) : std::nullopt;
    if (!claims || !kind)
        return std::nullopt;

    switch (*kind) {
    case TokenKind::agent: return AgentToken{*std::move(claims)};
    case TokenKind::client:
        if (auto ids = policy_ids_from(object))
            return ClientToken{*std::move(claims), *std::move(ids)};
        return std::nullopt;
    case TokenKind::policy:
        if (auto policy = policy_of(object))
            return PolicyToken{*std::move(claims), *std::move(policy)};
        return std::nullopt;
    }
    return std::nullopt;
}

} // namespace

std::string_view to_string(TokenKind kind)
{
    switch (kind) {
    case TokenKind::agent: return "agent";
    case TokenKind::client: return "client";
    case TokenKind::policy: return "policy";
    }
    return "unknown kind";
}

std::optional<TokenKind> parse_token_kind(std::string_view text)
{
    for (const TokenKind kind : {TokenKind::agent, TokenKind::client, TokenKind::policy})
        if (text == to_string(kind))
            return kind;
    return std::nullopt;
}

const Claims& claims_of(const Token& token)
{
    return std::visit([](const auto& value) -> const Claims& { return value.claims; }, token);
}

TokenKind kind_of(const Token& token)
{
    struct Kind {
        TokenKind operator()(const AgentToken&) const { return TokenKind::agent; }

        TokenKind operator()(const ClientToken&) const { return TokenKind::client; }

        TokenKind operator()(const PolicyToken&) const { return TokenKind::policy; }
    };

    return std::visit(Kind{}, token);
}

std::string make_token_id(Random& random)
{
    return to_hex(random.array<id_digits / 2>());
}

bool is_valid_name(std::string_view name)
{
    const auto is_alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && name.size() <= longest_name && name != "Any" &&
           is_alphanumeric(name.front()) && std::ranges::all_of(name, [&](char c) {
               return is_alphanumeric(c) ||
                      std::string_view{"._-@+"}.find(c) != std::string_view::npos;
           });
}

std::string sign(const Token& token, const Secret& secret)
{
    json::object object = to_json(claims_of(token), kind_of(token));
    std::visit([&](const auto& value) { add_claims(object, value); }, token);
    return sign_jws(json::serialize(object), secret);
}

Result<Token> verify(std::string_view jwt, const Secret& secret, UnixTime now)
{
    const auto payload = verify_jws(jwt, secret);
    if (!payload)
        return payload.error();
    const auto value = parse_strict_json(*payload, claims_limits);
    if (!value || !value->is_object())
        return make_error_code(TokenError::malformed);
    auto token = token_from(value->get_object());
    if (!token)
        return make_error_code(TokenError::malformed);
    if (now >= claims_of(*token).expires)
        return make_error_code(TokenError::expired); // "on or after", RFC 7519 §4.1.4
    return *std::move(token);
}

Result<PolicySet> effective_policies(const ClientToken& client,
                                     std::span<const PolicyToken> presented)
{
    std::vector<Policy> policies;
    for (const std::uint64_t id : client.policies) {
        const std::size_t before = policies.size();
        for (const PolicyToken& token : presented)
            if (token.policy.id == id && token.claims.user == client.claims.user)
                policies.push_back(token.policy);
        if (policies.size() == before)
            return make_error_code(TokenError::policy_missing);
    }
    return PolicySet{std::move(policies)};
}

} // namespace narrowlink::access

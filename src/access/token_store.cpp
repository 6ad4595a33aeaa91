// Theory of operation
//
// Goal: the owner of a gateway sees which tokens are about, and takes single ones back.
//
// Data flow: one entry per token id, in memory; parse() and format() are its whole file. The tokens
// themselves are not in it: who reads the file cannot use it to connect.
//
// A token that is not listed here is not refused: the signature decides, so that a lost file locks
// nobody out. What a lost file does lose is the revocations; docs/operations.md says so.
//
// Limits: 64 MiB of text, which is some 300,000 tokens.

#include "narrowlink/access/token_store.hpp"

#include "strict_json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <tuple>

namespace narrowlink::access {
namespace {

namespace json = boost::json;

constexpr std::uint64_t version = 1;
constexpr JsonLimits limits{.size = 64UL * 1'024 * 1'024, .depth = 3};

json::object to_json(const IssuedToken& token)
{
    const std::string_view kind = to_string(token.kind);
    json::object object;
    object.emplace("id", token.id);
    object.emplace("kind", json::string{kind.data(), kind.size()});
    object.emplace("user", token.user);
    object.emplace("name", token.name);
    object.emplace("issued", std::int64_t{token.issued.time_since_epoch().count()});
    object.emplace("expires", std::int64_t{token.expires.time_since_epoch().count()});
    object.emplace("revoked", token.revoked);
    return object;
}

std::optional<IssuedToken> issued_token_from(const json::value& value)
{
    if (!value.is_object())
        return std::nullopt;
    const json::object& object = value.get_object();
    auto id = string_member(object, "id");
    const auto kind_text = string_member(object, "kind");
    const auto kind = kind_text ? parse_token_kind(*kind_text) : std::nullopt;
    auto user = string_member(object, "user");
    auto name = string_member(object, "name");
    const auto issued = date_member(object, "issued");
    const auto expires = date_member(object, "expires");
    const json::value* const revoked = object.if_contains("revoked");
    if (!id || id->empty() || !kind || !user || !name || !issued || !expires ||
        revoked == nullptr || !revoked->is_bool())
        return std::nullopt;
    return IssuedToken{.id = *std::move(id),
                       .kind = *kind,
                       .user = *std::move(user),
                       .name = *std::move(name),
                       .issued = UnixTime{std::chrono::seconds{*issued}},
                       .expires = UnixTime{std::chrono::seconds{*expires}},
                       .revoked = revoked->get_bool()};
}

} // namespace

void IssuedTokens::add(const Token& token, UnixTime issued)
{
    const Claims& claims = claims_of(token);
    tokens_.insert_or_assign(claims.id, IssuedToken{.id = claims.id,
                                                    .kind = kind_of(token),
                                                    .user = claims.user,
                                                    .name = claims.name,
                                                    .issued = issued,
                                                    .expires = claims.expires,
                                                    .revoked = is_revoked(claims.id)});
}

bool IssuedTokens::revoke(std::string_view id)
{
    const auto found = tokens_.find(id);
    if (found == tokens_.end())
        return false;
    found->second.revoked = true;
    return true;
}

bool IssuedTokens::is_revoked(std::string_view id) const
{
    const auto found = tokens_.find(id);
    return found != tokens_.end() && found->second.revoked;
}

void IssuedTokens::remove_expired(UnixTime now)
{
    std::erase_if(tokens_, [&](const auto& entry) {
        return entry.second.expires < now && !entry.second.revoked;
    });
}

std::vector<IssuedToken> IssuedTokens::list() const
{
    std::vector<IssuedToken> tokens;
    tokens.reserve(tokens_.size());
    for (const auto& [id, token] : tokens_)
        tokens.push_back(token);
    std::ranges::stable_sort(tokens, {}, &IssuedToken::issued);
    return tokens;
}

std::string IssuedTokens::format() const
{
    std::string text = R"({"version":1,"tokens":[)";
    std::string_view separator = "\n";
    for (const IssuedToken& token : list()) {
        text += separator;
        text += json::serialize(to_json(token));
        separator = ",\n";
    }
    text += "\n]}\n";
    return text;
}

Result<IssuedTokens> IssuedTokens::parse(std::string_view text)
{
    const auto value = parse_strict_json(text, limits);
    if (!value || !value->is_object())
        return make_error_code(TokenStoreError::malformed);
    const json::object& object = value->get_object();
    const auto found_version = unsigned_member(object, "version");
    const json::value* const list = object.if_contains("tokens");
    if (!found_version)
        return make_error_code(TokenStoreError::malformed);
    if (*found_version != version)
        return make_error_code(TokenStoreError::unsupported_version);
    if (list == nullptr || !list->is_array())
        return make_error_code(TokenStoreError::malformed);

    IssuedTokens tokens;
    for (const json::value& element : list->get_array()) {
        auto token = issued_token_from(element);
        if (!token)
            return make_error_code(TokenStoreError::malformed);
        std::string id = token->id;
        if (!tokens.tokens_.emplace(std::move(id), *std::move(token)).second)
            return make_error_code(TokenStoreError::malformed); // which of the two is revoked?
    }
    return tokens;
}

} // namespace narrowlink::access

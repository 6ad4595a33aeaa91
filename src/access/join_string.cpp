// Theory of operation
//
// Goal: one word that survives terminals, chat programs and shells, and that says at once when it
// did not arrive whole.
//
// Data flow: {"g": gateway, "p": pin, "t": [tokens]} ‖ SHA-256 of it, first 6 bytes ─▶ base64url.
// The checksum guards against accidents only; who may forge a join string may as well write a
// correct one. Members that we do not know are ignored: a newer gateway may add hints.
//
// Limits: max_join_string_size, as many tokens as a client may have policies and one.

#include "narrowlink/access/join_string.hpp"

#include "narrowlink/access/token.hpp"
#include "narrowlink/crypto/digest.hpp"
#include "strict_json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace narrowlink::access {
namespace {

namespace json = boost::json;

constexpr std::string_view prefix = "nl1.";
constexpr std::string_view white_space = " \t\r\n\v\f";
constexpr std::size_t checksum_size = 6;
constexpr std::size_t longest_gateway = 2'048;
constexpr JsonLimits limits{.size = max_join_string_size, .depth = 2};

std::string_view trimmed(std::string_view text)
{
    const std::size_t begin = text.find_first_not_of(white_space);
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(white_space) + 1 - begin);
}

bool has_newer_prefix(std::string_view text)
{
    if (!text.starts_with("nl"))
        return false;
    const std::string_view version = text.substr(2, text.find('.') - 2);
    return version.size() + 2 < text.size() && !version.empty() && version.size() <= 3 &&
           std::ranges::all_of(version, [](char c) { return c >= '0' && c <= '9'; }) &&
           version.front() != '0';
}

// Enough to keep surprises out of a log line; whoever connects parses the URL.
bool is_gateway_url(std::string_view url)
{
    const auto visible = [](char c) { return c > ' ' && c < '\x7f'; };
    const std::size_t scheme_end = url.find("://");
    return (url.starts_with("wss://") || url.starts_with("ws://")) && url.size() > scheme_end + 3 &&
           url.size() <= longest_gateway && std::ranges::all_of(url, visible);
}

bool is_token(std::string_view text)
{
    return !text.empty() && text.size() <= max_jws_size && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    });
}

std::optional<std::vector<std::string>> tokens_from(const json::object& object)
{
    const json::value* const list = object.if_contains("t");
    if (list == nullptr || !list->is_array() || list->get_array().empty() ||
        list->get_array().size() > max_policies + 1)
        return std::nullopt;
    std::vector<std::string> tokens;
    for (const json::value& element : list->get_array()) {
        if (!element.is_string())
            return std::nullopt;
        tokens.emplace_back(element.get_string().data(), element.get_string().size());
        if (!is_token(tokens.back()))
            return std::nullopt;
    }
    return tokens;
}

std::optional<JoinString> join_string_from(const json::object& object)
{
    auto gateway = string_member(object, "g");
    auto tokens = tokens_from(object);
    if (!gateway || !is_gateway_url(*gateway) || !tokens)
        return std::nullopt;
    JoinString join{*std::move(gateway), std::nullopt, *std::move(tokens)};
    if (object.contains("p")) {
        const auto text = string_member(object, "p");
        join.pin = text ? crypto::Pin::parse(*text) : std::nullopt;
        if (!join.pin)
            return std::nullopt; // without it the node would trust any authority instead
    }
    return join;
}

} // namespace

std::string format(const JoinString& join)
{
    json::object object;
    object.emplace("g", join.gateway);
    if (join.pin)
        object.emplace("p", to_string(*join.pin));
    json::array tokens;
    for (const std::string& token : join.tokens)
        tokens.emplace_back(token);
    object.emplace("t", std::move(tokens));

    std::string content = json::serialize(object);
    const crypto::Digest digest = crypto::sha256(as_bytes(content));
    content += as_text(Bytes{digest}.first(checksum_size));
    return std::string{prefix} + to_base64url(as_bytes(content));
}

Result<JoinString> parse_join_string(std::string_view text)
{
    text = trimmed(text);
    if (!text.starts_with(prefix)) {
        if (has_newer_prefix(text))
            return make_error_code(JoinStringError::newer_version);
        const bool cut = !text.empty() && prefix.starts_with(text);
        return make_error_code(cut ? JoinStringError::damaged : JoinStringError::not_a_join_string);
    }
    if (text.size() > max_join_string_size)
        return make_error_code(JoinStringError::damaged);

    const auto bytes = from_base64url(text.substr(prefix.size()));
    if (!bytes || bytes->size() < checksum_size)
        return make_error_code(JoinStringError::damaged);
    const Bytes content = Bytes{*bytes}.first(bytes->size() - checksum_size);
    const crypto::Digest digest = crypto::sha256(content);
    if (!std::ranges::equal(Bytes{*bytes}.last(checksum_size), Bytes{digest}.first(checksum_size)))
        return make_error_code(JoinStringError::damaged);

    const auto value = parse_strict_json(as_text(content), limits);
    auto join = value && value->is_object() ? join_string_from(value->get_object()) : std::nullopt;
    if (!join)
        return make_error_code(JoinStringError::damaged);
    return *std::move(join);
}

} // namespace narrowlink::access

#include "narrowlink/access/jws.hpp"

#include "narrowlink/access/token.hpp"
#include "narrowlink/crypto/digest.hpp"
#include "strict_json.hpp"

namespace narrowlink::access {
namespace {

constexpr std::string_view header = R"({"alg":"HS256","typ":"JWT"})";
constexpr JsonLimits header_limits{.size = 256, .depth = 1};

// Other issuers may write the two members in another order or with white space.
bool is_our_header(std::string_view text)
{
    if (text == header)
        return true;
    const auto value = parse_strict_json(text, header_limits);
    return value && value->is_object() && value->get_object().size() == 2 &&
           string_member(value->get_object(), "alg") == "HS256" &&
           string_member(value->get_object(), "typ") == "JWT";
}

} // namespace

std::string sign_jws(std::string_view payload, const Secret& secret)
{
    std::string jws = to_base64url(as_bytes(header)) + '.' + to_base64url(as_bytes(payload));
    const crypto::Digest signature = crypto::hmac_sha256(secret, as_bytes(jws));
    jws += '.';
    jws += to_base64url(signature);
    return jws;
}

Result<std::string> verify_jws(std::string_view jws, const Secret& secret)
{
    const std::size_t first_dot = jws.find('.');
    const std::size_t last_dot = jws.rfind('.');
    if (jws.size() > max_jws_size || first_dot == last_dot)
        return make_error_code(TokenError::malformed);

    // A dot between these two is refused as no character of base64url.
    const auto header_text = from_base64url(jws.substr(0, first_dot));
    const auto payload = from_base64url(jws.substr(first_dot + 1, last_dot - first_dot - 1));
    const auto signature = from_base64url(jws.substr(last_dot + 1));
    if (!header_text || !payload || !signature ||
        signature->size() != std::tuple_size_v<crypto::Digest> ||
        !is_our_header(as_text(*header_text)))
        return make_error_code(TokenError::malformed);

    const auto expected = crypto::hmac_sha256(secret, as_bytes(jws.substr(0, last_dot)));
    if (secret.empty() || !crypto::equal_in_constant_time(expected, *signature))
        return make_error_code(TokenError::wrong_signature);
    return std::string{as_text(*payload)};
}

} // namespace narrowlink::access

#include "narrowlink/drive/refusal_sentence.hpp"

#include "narrowlink/access/token.hpp"

#include <array>
#include <string_view>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::drive {

std::string refusal_sentence(const io::WebError& error)
{
    using access::TokenError;
    constexpr std::array<std::pair<std::string_view, TokenError>, 4> reasons = {{
        {"signature", TokenError::wrong_signature},
        {"expired", TokenError::expired},
        {"revoked", TokenError::revoked},
        {"scope", TokenError::wrong_kind},
    }};
    if (error.failure() != io::WebFailure::unauthorized)
        return error.what();
    boost::system::error_code malformed;
    const boost::json::value body = boost::json::parse(error.body(), malformed);
    const auto* object = malformed ? nullptr : body.if_object();
    const auto* reason = object == nullptr ? nullptr : object->if_contains("error_description");
    if (reason == nullptr || !reason->is_string())
        return error.what();
    for (const auto& [word, meaning] : reasons)
        if (word == std::string_view{reason->as_string()})
            return fmt::format("the gateway refused the token: {}",
                               make_error_code(meaning).message());
    return error.what();
}

} // namespace narrowlink::drive

#include "narrowlink/drive/refusal_sentence.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::drive {

std::string refusal_sentence(const io::WebError& error)
{
    constexpr std::size_t longest = 300;
    if (error.failure() != io::WebFailure::unauthorized)
        return error.what();
    boost::system::error_code malformed;
    const boost::json::value body = boost::json::parse(error.body(), malformed);
    const auto* object = malformed ? nullptr : body.if_object();
    const auto* reason = object == nullptr ? nullptr : object->if_contains("error_description");
    if (reason == nullptr || !reason->is_string())
        return error.what();
    std::string text{reason->as_string().subview(0, longest)};
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return fmt::format("the gateway refused the token: {}", text);
}

} // namespace narrowlink::drive

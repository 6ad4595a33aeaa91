#include "narrowlink/control/message.hpp"

#include "words.hpp"

#include <algorithm>

namespace narrowlink::control {

std::string_view to_string(Role role)
{
    switch (role) {
    case Role::agent: return "agent";
    case Role::client: return "client";
    }
    return "";
}

std::string_view to_string(RefusalReason reason)
{
    switch (reason) {
    case RefusalReason::no_such_agent: return "no_such_agent";
    case RefusalReason::limit: return "limit";
    case RefusalReason::other: return "other";
    }
    return "";
}

RefusalReason parse_refusal_reason(std::string_view text)
{
    for (const RefusalReason reason : {RefusalReason::no_such_agent, RefusalReason::limit})
        if (text == to_string(reason))
            return reason;
    return RefusalReason::other;
}

std::string_view to_string(ClosingReason reason)
{
    switch (reason) {
    case ClosingReason::replaced: return "replaced";
    case ClosingReason::revoked: return "revoked";
    case ClosingReason::expired: return "expired";
    case ClosingReason::unauthorized: return "unauthorized";
    case ClosingReason::shutdown: return "shutdown";
    case ClosingReason::protocol_error: return "protocol_error";
    case ClosingReason::version: return "version";
    case ClosingReason::limit: return "limit";
    case ClosingReason::silence: return "silence";
    case ClosingReason::other: return "other";
    }
    return "";
}

ClosingReason parse_closing_reason(std::string_view text)
{
    using enum ClosingReason;
    for (const ClosingReason reason : {replaced, revoked, expired, unauthorized, shutdown,
                                       protocol_error, version, limit, silence})
        if (text == to_string(reason))
            return reason;
    return other;
}

bool may_retry(ClosingReason reason)
{
    switch (reason) {
    case ClosingReason::replaced: // two agents of one name would throw each other out for ever
    case ClosingReason::revoked:
    case ClosingReason::expired:
    case ClosingReason::unauthorized:
    case ClosingReason::version: return false;
    case ClosingReason::shutdown:
    case ClosingReason::protocol_error:
    case ClosingReason::limit:
    case ClosingReason::silence:
    case ClosingReason::other: return true;
    }
    return true;
}

bool is_control_character(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

std::string readable_sentence(std::string_view text)
{
    std::size_t size = std::min(text.size(), max_sentence_size);
    // Back to the start of a UTF-8 character (RFC 3629 §3: 10xxxxxx continues one).
    while (size < text.size() && size > 0 &&
           (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
        --size;
    std::string sentence{text.substr(0, size)};
    std::ranges::replace_if(sentence, is_control_character, '?');
    return sentence;
}

bool is_valid_name(std::string_view name)
{
    return !name.empty() && name.size() <= max_name_size &&
           std::ranges::none_of(name, is_control_character);
}

} // namespace narrowlink::control

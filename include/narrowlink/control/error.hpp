#pragma once

#include "narrowlink/base/result.hpp"

namespace narrowlink::control {

/// What is wrong with a control message, or why the gateway's books do not take a node.
enum class Error {
    message_too_large = 1, ///< over max_message_size
    malformed_message,     ///< not a JSON object with a "type"
    wrong_member,          ///< a member is missing, of the wrong type or out of its range
    invalid_name,          ///< a token's user or name that no control message can carry
    policies_too_large,    ///< the client's policies do not fit into one introduction
    too_many_sessions,     ///< the user has as many nodes connected as the gateway allows
};

ErrorCode make_error_code(Error) noexcept;

} // namespace narrowlink::control

template <>
struct boost::system::is_error_code_enum<narrowlink::control::Error> : std::true_type {
};

#include "narrowlink/control/error.hpp"

#include <string>

namespace narrowlink::control {
namespace {

class ErrorCategory final : public boost::system::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "narrowlink.control"; }

    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<Error>(value)) {
        case Error::message_too_large: return "a control message exceeds 64 KiB";
        case Error::malformed_message: return "a control message is not a JSON object with a type";
        case Error::wrong_member:
            return "a member of a control message is missing, of the wrong type or out of range";
        case Error::invalid_name:
            return "the token's user or name is empty, longer than 64 bytes or has control "
                   "characters; issue another token";
        case Error::policies_too_large:
            return "the client's policies together are too large to be sent to an agent; shorten "
                   "them or give the client fewer";
        case Error::too_many_sessions:
            return "the user has as many nodes connected as this gateway allows; disconnect some "
                   "or raise the limit";
        }
        return "unknown control error";
    }
};

constinit const ErrorCategory category;

} // namespace

ErrorCode make_error_code(Error error) noexcept
{
    return {static_cast<int>(error), category};
}

} // namespace narrowlink::control

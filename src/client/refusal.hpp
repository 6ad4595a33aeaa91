#pragma once

#include "narrowlink/base/failure.hpp"
#include "narrowlink/quic/request.hpp"

#include <string>

namespace narrowlink::client {

/// What an agent's refusal means to a person: one sentence and one exit code for each reason.
Failure refusal(const std::string& agent, const HostPort& target, const quic::Response&);

} // namespace narrowlink::client

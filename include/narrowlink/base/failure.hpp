#pragma once

#include <stdexcept>
#include <string>

namespace narrowlink {

/// How every program of the suite ends; docs/operations.md lists them for scripts.
enum class ExitCode {
    success = 0,
    unexpected = 1,          ///< a defect, or a system call that never fails did
    usage = 2,               ///< the command line
    configuration = 3,       ///< a configuration file, a join string, the state directory
    gateway_unavailable = 4, ///< not reachable, or not the one that is trusted
    token_refused = 5,
    agent_unknown = 6, ///< no such agent, not connected, or not visible to this client
    denied = 7,        ///< a policy forbids the target
    target_refused = 8,
    target_timed_out = 9,
    target_not_resolved = 10,
    address_in_use = 11,     ///< a local address cannot be listened on
    connection_lost = 12,    ///< an open stream broke
    target_unreachable = 13, ///< no route
    no_direct_path = 14,     ///< --direct was asked for
    unhealthy = 15,          ///< `doctor` has found what does not work
};

/// What ends a program before it has done its work: one sentence for people, a code for scripts.
class Failure : public std::runtime_error {
public:
    Failure(ExitCode code, const std::string& sentence) : std::runtime_error{sentence}, code_{code} {}

    [[nodiscard]] ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

} // namespace narrowlink

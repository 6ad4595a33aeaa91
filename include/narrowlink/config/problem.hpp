#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace narrowlink::config {

/// A defect of one configuration file, e.g. `agent.yaml:7:13: direct.keepalive: ...`.
struct Problem {
    std::string file;
    std::uint32_t line;
    std::uint32_t column;
    std::string key; ///< from the root, e.g. `services[0].listen_addr`; empty for the file itself
    std::string text;

    bool operator==(const Problem&) const = default;
};

/// `file:line:column: key: text`, on one line whatever the file contains.
std::string to_string(const Problem&);

/// What loading a file gives: the configuration, or all that is wrong with it, in the file's order.
template <class Config>
using Outcome = std::variant<Config, std::vector<Problem>>;

/// A value whose final check needs more than the file, e.g. a port that may be in use.
template <class T>
struct Located {
    T value;
    std::string
        where{}; ///< `file:line:column: key`, to begin a message with; empty: not from a file

    bool operator==(const Located&) const = default;
};

} // namespace narrowlink::config

#pragma once

#include "narrowlink/base/log_level.hpp"

namespace narrowlink::config {

class Section;

/// `log:` of every program.
struct LogConfig {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;

    bool operator==(const LogConfig&) const = default;
};

LogConfig read_log(Section& root);

} // namespace narrowlink::config

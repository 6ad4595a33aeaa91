#pragma once

namespace narrowlink {

/// How much a program tells, from most to least. One of the things the configuration names and the
/// log obeys, which do not know each other.
enum class LogLevel { trace, debug, info, warning, error };

enum class LogFormat { text, json };

} // namespace narrowlink

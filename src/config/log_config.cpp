#include "narrowlink/config/log_config.hpp"

#include "narrowlink/config/section.hpp"

namespace narrowlink::config {

LogConfig read_log(Section& root)
{
    LogConfig log;
    Section section = root.section("log");
    log.level = section.choice("level", log.level,
                               {{"trace", LogLevel::trace},
                                {"debug", LogLevel::debug},
                                {"info", LogLevel::info},
                                {"warning", LogLevel::warning},
                                {"error", LogLevel::error}});
    log.format = section.choice("format", log.format,
                                {{"text", LogFormat::text}, {"json", LogFormat::json}});
    section.finish();
    return log;
}

} // namespace narrowlink::config

#include "narrowlink/config/agent_config.hpp"

#include "narrowlink/config/congestion_control.hpp"
#include "narrowlink/config/port_mapping.hpp"
#include "narrowlink/config/section.hpp"

#include <utility>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;

AgentLimits read_limits(Section& root)
{
    AgentLimits limits;
    Section section = root.section("limits");
    limits.streams = section.integer<std::size_t>("streams", limits.streams, 1, 65'536);
    limits.receive_buffer =
        section.size("receive_buffer", limits.receive_buffer, 65'536, std::size_t{1} << 30);
    section.finish();
    return limits;
}

AgentConfig read(Section& root)
{
    AgentConfig config;
    config.membership = read_membership(root, NodeKind::agent);
    if (auto path = root.file_path("state"))
        config.state = {std::move(*path), root.where("state")};
    config.connect_timeout = root.duration("connect_timeout", config.connect_timeout, 1s, 5min);
    config.limits = read_limits(root);
    config.resume_window = root.duration("resume_window", config.resume_window, 10s, 24h);
    config.port_mapping = read_port_mapping(root);
    config.congestion_control = read_congestion_control(root);
    config.log = read_log(root);
    root.finish();
    return config;
}

} // namespace

Outcome<AgentConfig> load_agent_config(std::string_view text, std::string file)
{
    Problems problems{std::move(file)};
    const Value document = parse_document(text, problems);
    Section root{document, "", problems};
    AgentConfig config = read(root);
    if (!problems.empty())
        return problems.sorted();
    return config;
}

std::set<std::string> agent_config_keys()
{
    Problems problems{"keys"};
    const Value document = parse_document("endpoints: [!SelfHosted {}]", problems);
    Section root{document, "", problems};
    read(root);
    return problems.known_keys();
}

} // namespace narrowlink::config

#include "narrowlink/config/client_config.hpp"

#include "narrowlink/config/congestion_control.hpp"
#include "narrowlink/config/port_mapping.hpp"
#include "narrowlink/config/section.hpp"

#include <utility>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;

ClientConfig read(Section& root)
{
    ClientConfig config;
    config.membership = read_membership(root, NodeKind::client);
    if (auto path = root.file_path("state"))
        config.state = {std::move(*path), root.where("state")};
    config.connect_timeout = root.duration("connect_timeout", config.connect_timeout, 1s, 5min);
    config.relay = root.choice("relay", config.relay,
                               {{"websocket", RelayCarrier::websocket}, {"udp", RelayCarrier::udp}});
    config.port_mapping = read_port_mapping(root);
    config.congestion_control = read_congestion_control(root);
    config.log = read_log(root);
    root.finish();
    return config;
}

} // namespace

Outcome<ClientConfig> load_client_config(std::string_view text, std::string file)
{
    Problems problems{std::move(file)};
    const Value document = parse_document(text, problems);
    Section root{document, "", problems};
    ClientConfig config = read(root);
    if (!problems.empty())
        return problems.sorted();
    return config;
}

std::set<std::string> client_config_keys()
{
    Problems problems{"keys"};
    const Value document = parse_document("endpoints: [!SelfHosted {}]", problems);
    Section root{document, "", problems};
    read(root);
    return problems.known_keys();
}

} // namespace narrowlink::config

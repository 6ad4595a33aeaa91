#include "agent_link.hpp"

#include "narrowlink/io/clock.hpp"

#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace narrowlink::client {
namespace {

double seconds_since(Instant then)
{
    return std::chrono::duration<double>(io::now() - then).count();
}

double seconds_of(Duration time)
{
    return std::chrono::duration<double>(time).count();
}

double milliseconds_of(Duration time)
{
    return std::chrono::duration<double, std::milli>(time).count();
}

std::string_view to_string(Route route)
{
    switch (route) {
    case Route::automatic: return "automatic";
    case Route::direct: return "direct";
    case Route::relay: return "relay";
    }
    return "";
}

} // namespace

std::string AgentLink::report()
{
    boost::json::object report{{"command", settings_->command},
                               {"agent", agent_},
                               {"route", to_string(settings_->route)},
                               {"seconds", seconds_since(started_)}};
    const auto rtt = node_->gateway_rtt();
    report["gateway_rtt_ms"] = rtt ? boost::json::value(milliseconds_of(*rtt)) : nullptr;
    if (const auto& mapping = direct_->port_mapping())
        report["port_mapping"] = {{"protocol", narrowlink::to_string(mapping->protocol)},
                                  {"external", narrowlink::to_string(mapping->external)},
                                  {"lifetime_seconds", seconds_of(mapping->lifetime)}};
    ask_for_agent_nat();
    if (const std::string nat = direct_->nat(); !nat.empty())
        report["nat"] = nat;
    if (!agent_nat_.empty())
        report["agent_nat"] = agent_nat_;
    const control::NodeSession* session = std::as_const(*node_).session();
    const bool has_gateway = session != nullptr && session->is_established();
    if (!has_gateway)
        report["trouble"] = last_trouble_.empty() ? "the gateway is not reached yet" : last_trouble_;
    if (!connection_ || connection_->is_over()) {
        report["path"] = "none";
        if (has_gateway)
            report["trouble"] = "the agent is not connected";
        return boost::json::serialize(report);
    }
    path::Pair& pair = connection_->driver().pair();
    const auto statistics = pair.connection().statistics();
    report["path"] = pair.current() ? path::to_string(*pair.current()) : "none";
    report["path_seconds"] = seconds_since(connection_->path_since());
    report["rtt_ms"] = statistics.has_rtt
                           ? boost::json::value(milliseconds_of(statistics.smoothed_rtt))
                           : nullptr;
    const auto loss = connection_->loss();
    report["loss"] = loss ? boost::json::value(*loss) : nullptr;
    report["mtu"] = pair.mtu();
    report["congestion_window"] = statistics.congestion_window;
    report["bytes_sent"] = statistics.bytes_sent;
    report["bytes_received"] = statistics.bytes_received;
    report["datagrams_dropped"] = statistics.datagrams_dropped;
    if (has_gateway && !pair.current())
        report["trouble"] = "the agent has lost the gateway; streams wait for it";
    if (settings_->route != Route::relay && pair.current() != path::CarrierKind::direct_udp)
        report["not_direct"] = direct_->obstacle(connection_->driver());
    return boost::json::serialize(report);
}

} // namespace narrowlink::client

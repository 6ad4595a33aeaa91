#include "narrowlink/drive/port_mapper.hpp"

#include "narrowlink/io/ask_router.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace narrowlink::drive {
namespace {

/// The library's limits for one request over UPnP come to more when the router dawdles.
constexpr Duration answer_time = std::chrono::seconds{15};

void log_mapping(const PortMapping& mapping)
{
    io::log_event(LogLevel::info, "port_mapped", "protocol", to_string(mapping.protocol),
                  "external", to_string(mapping.external), "lifetime", mapping.lifetime);
}

} // namespace

std::optional<IpAddress> nat_router()
{
    const auto router = io::default_router();
    if (!router)
        return std::nullopt;
    const std::vector<IpAddress> addresses = io::interface_addresses();
    const std::vector<IpPrefix> prefixes = io::connected_prefixes();
    const bool is_public = std::ranges::any_of(prefixes, [&](const IpPrefix& prefix) {
        return prefix.contains(*router) &&
               std::ranges::any_of(addresses, [&](const IpAddress& own) {
                   return prefix.contains(own) && nat::is_public(own);
               });
    });
    return is_public ? std::nullopt : router;
}

PortMapper::PortMapper(net::any_io_executor executor, PortMappingMode mode, Random& random,
                       std::function<void()> on_change)
    : lease_{mode, random}, on_change_{std::move(on_change)}, begun_{std::move(executor)}
{
}

void PortMapper::begin(std::uint16_t port)
{
    const auto before = mapping();
    if (const auto router = nat_router())
        lease_.begin(io::now(), *router, port);
    else
        lease_.reset();
    tell(before);
    begun_.set();
}

const PortMapping* PortMapper::public_mapping() const
{
    return mapping() && nat::is_public(mapping()->external.ip) ? &*mapping() : nullptr;
}

void PortMapper::tell(const std::optional<PortMapping>& before)
{
    if (mapping() && (!before || before->external != mapping()->external))
        log_mapping(*mapping());
    else if (before && !mapping())
        io::log_event(LogLevel::info, "port_mapping_lost", "protocol", to_string(before->protocol),
                      "external", to_string(before->external));
}

net::awaitable<void> PortMapper::run()
{
    std::exception_ptr end;
    try {
        auto looping = loop();
        co_await std::move(looping);
    } catch (...) {
        end = std::current_exception();
    }
    co_await net::this_coro::reset_cancellation_state(net::disable_cancellation());
    if (const auto release = lease_.release()) {
        auto asking = io::ask_router(*release, io::now() + farewell);
        co_await std::move(asking);
    }
    std::rethrow_exception(end);
}

net::awaitable<void> PortMapper::loop()
{
    for (;;) {
        const auto before = mapping();
        bool changed = lease_.handle_timeout(io::now());
        if (const auto request = lease_.poll_request()) {
            auto asking = io::ask_router(*request, io::now() + answer_time);
            const std::optional<RouterAnswer> answer = co_await std::move(asking);
            changed = lease_.handle_answer(io::now(), answer) || changed;
            if (!answer || answer->external == 0)
                io::log_event(LogLevel::debug, "port_not_mapped", "protocol",
                              to_string(request->protocol), "reason",
                              answer ? "refused" : "no answer");
        } else if (!changed) {
            auto waiting = begun_.wait_until(lease_.deadline());
            co_await std::move(waiting);
            continue;
        }
        tell(before);
        if (changed)
            on_change_();
    }
}

} // namespace narrowlink::drive

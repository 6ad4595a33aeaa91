#include "narrowlink/io/clock.hpp"
#include "narrowlink/wire/ssdp.hpp"
#include "router_question.hpp"

#include <array>
#include <fmt/format.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <string>
#include <sys/socket.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

constexpr std::array<Duration, 2> search_intervals{400ms, 1s};

// WANIPConnection:1 §2.5, errors of AddPortMapping.
constexpr int conflict_in_mapping_entry = 718;
constexpr int only_permanent_leases = 725;

constexpr unsigned most_ports_tried = 4;

/// The URL of the router's description.
std::optional<std::string> find_description(const IpAddress& router, int abandoned)
{
    const RouterSocket socket{router, wire::ssdp_port};
    if (!socket.own_address())
        return std::nullopt;
    const std::string search = wire::ssdp_search(router);
    for (const Duration interval : search_intervals) {
        if (::send(socket.get(), search.data(), search.size(), 0) < 0)
            return std::nullopt;
        const Instant until = io::now() + interval;
        while (wait_readable(socket.get(), abandoned, until)) {
            std::array<char, 2'048> answer{};
            const auto size = ::recv(socket.get(), answer.data(), answer.size(), 0);
            if (size < 0)
                return std::nullopt; // nobody listens there
            if (auto url = wire::decode_ssdp_answer({answer.data(), static_cast<std::size_t>(size)},
                                                    router))
                return url;
        }
    }
    return std::nullopt;
}

/// The service of the router that maps ports.
class Igd {
public:
    Igd(const std::string& description, const IpAddress& router)
    {
        has_urls_ = ::UPNP_GetIGDFromUrl(description.c_str(), &urls_, &data_, own_address_.data(),
                                         static_cast<int>(own_address_.size())) == 1;
        const std::string_view type = data_.first.servicetype;
        // The description may name any URL; only the router's own are asked.
        is_usable_ = has_urls_ && urls_.controlURL != nullptr &&
                     wire::is_url_of(urls_.controlURL, router) &&
                     (type.starts_with("urn:schemas-upnp-org:service:WANIPConnection:") ||
                      type.starts_with("urn:schemas-upnp-org:service:WANPPPConnection:"));
    }

    Igd(const Igd&) = delete;
    Igd& operator=(const Igd&) = delete;

    ~Igd()
    {
        if (has_urls_)
            ::FreeUPNPUrls(&urls_);
    }

    [[nodiscard]] bool is_usable() const { return is_usable_; }

    [[nodiscard]] std::optional<IpAddress> external_ip() const
    {
        std::array<char, 64> text{}; // the library writes at most 16
        if (::UPNP_GetExternalIPAddress(urls_.controlURL, data_.first.servicetype, text.data()) !=
            UPNPCOMMAND_SUCCESS)
            return std::nullopt;
        return IpAddress::parse(text.data());
    }

    [[nodiscard]] int add(std::uint16_t external, std::uint16_t internal,
                          std::int64_t seconds) const
    {
        return ::UPNP_AddPortMapping(
            urls_.controlURL, data_.first.servicetype, fmt::format("{}", external).c_str(),
            fmt::format("{}", internal).c_str(), own_address_.data(), "narrowlink", "UDP", nullptr,
            fmt::format("{}", seconds).c_str());
    }

    void remove(std::uint16_t external) const
    {
        ::UPNP_DeletePortMapping(urls_.controlURL, data_.first.servicetype,
                                 fmt::format("{}", external).c_str(), "UDP", nullptr);
    }

private:
    UPNPUrls urls_{};
    IGDdatas data_{};
    std::array<char, 64> own_address_{};
    bool has_urls_ = false, is_usable_ = false;
};

} // namespace

std::optional<RouterAnswer> ask_upnp(const RouterRequest& request, int abandoned)
{
    const auto description = find_description(request.router, abandoned);
    if (!description)
        return std::nullopt;
    const Igd igd{*description, request.router};
    if (!igd.is_usable())
        return std::nullopt;
    if (request.ends_mapping()) {
        igd.remove(request.external);
        return RouterAnswer{};
    }
    const auto external_ip = igd.external_ip();
    if (!external_ip)
        return std::nullopt;
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(request.lifetime).count();
    std::uint16_t external = request.external;
    for (unsigned tried = 0; tried < most_ports_tried; ++tried) {
        int result = igd.add(external, request.internal, seconds);
        if (result == only_permanent_leases) {
            seconds = 0;
            result = igd.add(external, request.internal, seconds);
        }
        if (result == UPNPCOMMAND_SUCCESS)
            return RouterAnswer{.external_ip = *external_ip,
                                .external = external,
                                .lifetime = std::chrono::seconds{seconds}};
        if (result != conflict_in_mapping_entry)
            break;
        external = static_cast<std::uint16_t>(external < 65'000 ? external + 1 : 1'024);
    }
    return RouterAnswer{.external_ip = *external_ip};
}

} // namespace narrowlink::io

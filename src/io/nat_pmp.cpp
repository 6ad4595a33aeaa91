#include "narrowlink/io/clock.hpp"
#include "router_question.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <natpmp.h>

namespace narrowlink::io {
namespace {

/// RFC 6886 §3.1 goes on for a minute; who has it answers at once.
constexpr Duration patience = std::chrono::seconds{1};

/// The library's socket to the router. It is connected, so nobody else's answers come in.
class NatPmp {
public:
    explicit NatPmp(const IpAddress& router)
    {
        in_addr_t address = 0;
        std::memcpy(&address, router.bytes().data(), sizeof address);
        is_open_ = ::initnatpmp(&state_, 1, address) == 0;
    }

    NatPmp(const NatPmp&) = delete;
    NatPmp& operator=(const NatPmp&) = delete;

    ~NatPmp()
    {
        if (is_open_)
            ::closenatpmp(&state_);
    }

    [[nodiscard]] bool is_open() const { return is_open_; }

    natpmp_t& state() { return state_; }

    /// The answer of this type to what was sent last.
    std::optional<natpmpresp_t> answer(std::uint16_t type, int abandoned)
    {
        const Instant deadline = io::now() + patience;
        for (;;) {
            timeval left{};
            ::getnatpmprequesttimeout(&state_, &left); // until the library repeats the question
            const Duration wait =
                std::chrono::seconds{left.tv_sec} + std::chrono::microseconds{left.tv_usec};
            const Instant until = std::min(deadline, io::now() + wait);
            if (!wait_readable(state_.s, abandoned, until) &&
                (until == deadline || abandoned_by(abandoned)))
                return std::nullopt;
            natpmpresp_t response{};
            const int result = ::readnatpmpresponseorretry(&state_, &response);
            if (result == 0)
                return response.type == type ? std::optional{response} : std::nullopt;
            if (result != NATPMP_TRYAGAIN)
                return std::nullopt;
        }
    }

private:
    static bool abandoned_by(int abandoned) { return wait_readable(abandoned, -1, Instant{}); }

    natpmp_t state_{};
    bool is_open_ = false;
};

} // namespace

std::optional<RouterAnswer> ask_nat_pmp(const RouterRequest& request, int abandoned)
{
    NatPmp router{request.router};
    if (!router.is_open())
        return std::nullopt;
    RouterAnswer result;
    if (!request.ends_mapping()) {
        if (::sendpublicaddressrequest(&router.state()) < 0)
            return std::nullopt;
        const auto answer = router.answer(NATPMP_RESPTYPE_PUBLICADDRESS, abandoned);
        if (!answer)
            return std::nullopt;
        std::array<std::byte, 4> bytes{};
        std::memcpy(bytes.data(), &answer->pnu.publicaddress.addr, bytes.size());
        result.external_ip = IpAddress::v4(bytes);
    }

    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(request.lifetime).count();
    // RFC 6886 §3.4: a mapping is ended with the port 0 on the other side.
    const std::uint16_t wish = request.ends_mapping() ? 0 : request.external;
    if (::sendnewportmappingrequest(&router.state(), NATPMP_PROTOCOL_UDP, request.internal, wish,
                                    static_cast<std::uint32_t>(seconds)) < 0)
        return result;
    const auto answer = router.answer(NATPMP_RESPTYPE_UDPPORTMAPPING, abandoned);
    if (!answer || answer->pnu.newportmapping.privateport != request.internal ||
        (answer->pnu.newportmapping.lifetime == 0 && !request.ends_mapping()))
        return result;
    result.external = answer->pnu.newportmapping.mappedpublicport;
    result.lifetime = std::chrono::seconds{answer->pnu.newportmapping.lifetime};
    return result;
}

} // namespace narrowlink::io

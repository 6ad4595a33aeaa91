// Lets up to eight sessions of two users come, go, introduce and release in any order, and checks
// after each step that the forwarding which the actions describe fits together. Input: steps
// `u8 action, u8 session, u8 detail`.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/control/registry.hpp"

#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <utility>

using namespace narrowlink;
using namespace narrowlink::control;

namespace {

using End = std::pair<SessionId, PairHandle>;

void require(bool holds)
{
    if (!holds)
        std::abort();
}

class World {
public:
    void step(Reader& in)
    {
        const std::uint8_t action = in.u8();
        const std::size_t slot = in.u8() % sessions_.size();
        const std::uint8_t detail = in.u8();
        switch (action % 8) {
        case 0: add(slot, detail); break;
        case 1: take(slot, [&](SessionId id) { registry_.remove(now_, id); }); break;
        case 2:
            take(slot, [&](SessionId id) {
                registry_.close(now_, id,
                                detail % 2 ? ClosingReason::expired : ClosingReason::shutdown, "m");
            });
            break;
        case 3: say(slot, List{detail}); break;
        case 4:
            say(slot, Release{.pair = pair_of(detail),
                              .client_key = is_agent(slot) ? std::optional{key_of(detail / 4)}
                                                           : std::nullopt});
            break;
        case 5:
            now_ += std::chrono::seconds{detail};
            registry_.handle_timeout(now_);
            require(registry_.deadline() > now_);
            break;
        case 6: registry_.revoke(now_, std::string(1, static_cast<char>('a' + detail % 4))); break;
        default:
            say(slot, Introduce{.id = detail,
                                .agent = name_of(detail / 4),
                                .pair = pair_of(detail),
                                .resume = detail >= 128});
            break;
        }
        drain();
    }

    void finish()
    {
        for (std::size_t slot = 0; slot < sessions_.size(); ++slot)
            take(slot, [&](SessionId id) { registry_.remove(now_, id); });
        drain();
        now_ += std::chrono::hours{1};
        registry_.handle_timeout(now_);
        drain();
        const auto counts = registry_.counts();
        require(counts.agents + counts.clients + counts.pairs == 0);
        require(routes_.empty() && registry_.deadline() == never);
    }

private:
    static bool is_agent(std::size_t slot) { return slot < 4; }

    static std::string name_of(unsigned n)
    {
        return std::string(1, static_cast<char>('p' + n % 2));
    }

    static crypto::Pin key_of(unsigned n)
    {
        crypto::Pin pin;
        pin.bytes[0] = static_cast<std::byte>(n % 2);
        return pin;
    }

    static wire::PairId pair_of(unsigned n)
    {
        wire::PairId id;
        id.bytes[0] = static_cast<std::byte>(n % 4);
        return id;
    }

    void add(std::size_t slot, std::uint8_t detail)
    {
        take(slot, [&](SessionId id) { registry_.remove(now_, id); });
        const SessionId id{next_session_++};
        const Registry::Node node{.user = detail % 2 ? "u" : "v",
                                  .name = name_of(detail / 2),
                                  .token = std::string(1, static_cast<char>('a' + slot % 4)),
                                  .key = key_of(detail / 4),
                                  .instance = {},
                                  .software = "s",
                                  .address = {}};
        std::vector<access::Policy> policies;
        if (detail >= 192)
            policies.push_back(
                {.id = 1,
                 .type = access::Policy::Type::white_list,
                 .rules = {{.agent = "p", .target = "*", .port = {}, .protocol = {}}}});
        const Result<> added = is_agent(slot) ? registry_.add_agent(now_, id, node)
                                              : registry_.add_client(now_, id, node, policies);
        if (!added)
            return;
        sessions_[slot] = id;
        alive_.insert(id);
    }

    template <class Ending>
    void take(std::size_t slot, Ending ending)
    {
        if (!sessions_[slot])
            return;
        ending(*sessions_[slot]);
        alive_.erase(*std::exchange(sessions_[slot], std::nullopt));
    }

    void say(std::size_t slot, const Message& message)
    {
        if (sessions_[slot])
            registry_.handle(now_, *sessions_[slot], message);
    }

    void drain()
    {
        while (auto action = registry_.poll_action()) {
            if (const auto* send = std::get_if<Registry::Send>(&*action)) {
                require(format(send->message).size() <= max_message_size);
                // The gateway never says what it would itself refuse to understand.
                require(parse(format(send->message)) == Result<Message>{send->message});
            } else if (const auto* route = std::get_if<Registry::Route>(&*action)) {
                const End from{route->from, route->handle_at_from};
                require(used_.insert(from).second); // a handle is used once
                routes_[from] = {route->to, route->handle_at_to};
            } else if (const auto* unroute = std::get_if<Registry::Unroute>(&*action)) {
                require(routes_.erase({unroute->session, unroute->handle}) == 1);
            } else if (const auto* close = std::get_if<Registry::Close>(&*action)) {
                alive_.erase(close->session);
                closing_.push_back(close->session);
            }
        }
        for (const SessionId id : std::exchange(closing_, {}))
            for (auto& session : sessions_)
                if (session == id) {
                    registry_.remove(now_, id);
                    session.reset();
                    drain();
                }
        for (const auto& [from, to] : routes_) {
            require(routes_.at(to) == from); // both ways, with one handle per end
            require(alive_.contains(from.first));
        }
    }

    Registry registry_{{.resume_window = std::chrono::minutes{5},
                        .pairs_per_session = 3,
                        .sessions_per_user = 4,
                        .clientless_pairs_per_user = 2}};
    Instant now_{std::chrono::hours{1}};
    std::array<std::optional<SessionId>, 8> sessions_; ///< four agents, four clients
    std::set<SessionId> alive_;
    std::vector<SessionId> closing_;
    std::map<End, End> routes_;
    std::set<End> used_;
    std::uint64_t next_session_ = 1;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    World world;
    while (!in.done() && in.ok())
        world.step(in);
    world.finish();
    return 0;
}

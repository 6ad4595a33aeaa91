// Theory of operation
//
// Goal: look at everything between this client and its gateway that can be in the way, from the
// bottom up, and at what a step needs only when that was there.
//
//   configuration → name → TCP, each address → TLS and HTTP without a token → session, probes and
//   survey, beside it the router → MTU → the socket for `status`
//
// Facts are collected here; doctor_judge.cpp says what they mean.

#include "doctor.hpp"

#include "doctor_session.hpp"
#include "narrowlink/client/command_line.hpp"
#include "narrowlink/drive/port_mapper.hpp"
#include "narrowlink/io/ask_router.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/dial.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/local_service.hpp"
#include "narrowlink/io/path_mtu.hpp"
#include "narrowlink/io/resolve.hpp"
#include "narrowlink/io/run_until_stopped.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/together.hpp"

#include <boost/json/parse.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace narrowlink::client {
namespace {

using namespace std::chrono_literals;

constexpr Duration lookup_time = 10s;
constexpr Duration dial_time = 5s;
constexpr Duration door_time = 10s;
constexpr Duration router_time = 15s;
constexpr Duration mtu_time = 300ms;
constexpr Duration status_time = 2s;

/// When the token says it ends; only the gateway can verify it.
std::optional<UnixTime> claimed_end(std::string_view token)
{
    const std::size_t first = token.find('.');
    const std::size_t second = token.find('.', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos)
        return std::nullopt;
    const auto payload = from_base64url(token.substr(first + 1, second - first - 1));
    if (!payload)
        return std::nullopt;
    ErrorCode error;
    const boost::json::value claims = boost::json::parse(as_text(*payload), error);
    const auto* object = error ? nullptr : claims.if_object();
    const auto* end = object == nullptr ? nullptr : object->if_contains("exp");
    if (end == nullptr || !end->is_int64())
        return std::nullopt;
    return UnixTime{std::chrono::seconds{end->get_int64()}};
}

std::vector<std::string> proxy_variables()
{
    std::vector<std::string> set;
    for (const char* name : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
        if (const char* value = std::getenv(name); value != nullptr && *value != '\0')
            set.emplace_back(name);
    return set;
}

net::awaitable<void> look_up(DoctorFacts& facts)
{
    try {
        auto resolving = io::resolve(facts.gateway.host, io::now() + lookup_time);
        const std::vector<IpAddress> addresses = co_await std::move(resolving);
        for (const IpAddress& ip : addresses)
            facts.dialled.push_back({.ip = ip, .took = {}, .trouble = {}});
    } catch (const boost::system::system_error& error) {
        if (error.code() == net::error::operation_aborted)
            throw;
        facts.name_trouble = error.code().message();
    }
}

net::awaitable<void> dial_each(DoctorFacts& facts)
{
    for (DoctorFacts::Dialled& dialled : facts.dialled) {
        const Instant start = io::now();
        try {
            std::vector<IpAddress> addresses{dialled.ip};
            auto dialling = io::dial(std::move(addresses), facts.gateway.port, start + dial_time);
            const tcp::socket socket = co_await std::move(dialling);
            dialled.took = io::now() - start;
        } catch (const boost::system::system_error& error) {
            if (error.code() == net::error::operation_aborted)
                throw;
            dialled.trouble = error.code() == boost::system::errc::timed_out
                                  ? "no answer"
                                  : error.code().message();
        }
    }
}

/// Without a token: what is not the gateway does not get it.
net::awaitable<void> knock(DoctorFacts& facts, io::ConnectOptions options)
{
    options.bearer.clear();
    options.deadline = io::now() + door_time;
    facts.door.emplace();
    try {
        auto connecting = io::WebSocket::connect(std::move(options));
        co_await std::move(connecting);
    } catch (const io::WebError& error) {
        if (const auto time = error.server_time())
            facts.door->clock_ahead = io::unix_now() - *time;
        facts.door->sentence = error.what();
        if (error.http_status() == 0)
            facts.door->failure = error.failure();
    }
}

/// Whether it maps a port, over each protocol that may be used; each mapping is ended at once.
net::awaitable<void> ask_router(DoctorFacts& facts, PortMappingMode mode, Random& random)
{
    DoctorFacts::Router& router = facts.router.emplace();
    router.mode = mode;
    router.address = drive::nat_router();
    if (!router.address || mode == PortMappingMode::off)
        co_return;
    const auto executor = co_await net::this_coro::executor;
    const udp::socket socket{executor,
                             udp::endpoint{udp::v4(), 0}}; // so that nobody else has the port
    const auto nonce = random.array<12>();
    for (const PortMappingProtocol protocol : nat::protocols_of(mode)) {
        const std::uint16_t port = socket.local_endpoint().port();
        RouterRequest request{.protocol = protocol,
                              .router = *router.address,
                              .internal = port,
                              .external = port,
                              .lifetime = 1min,
                              .nonce = nonce};
        auto asking = io::ask_router(request, io::now() + router_time);
        const std::optional<RouterAnswer> answer = co_await std::move(asking);
        router.asked.push_back({protocol, answer});
        if (!answer || answer->external == 0)
            continue;
        request.external = answer->external;
        request.lifetime = {};
        auto ending = io::ask_router(request, io::now() + router_time);
        co_await std::move(ending);
    }
}

net::awaitable<void> measure_path(DoctorFacts& facts, SocketAddress gateway)
{
    DoctorFacts::Path& path = facts.path.emplace();
    auto measuring = io::path_mtu(gateway, mtu_time);
    const Result<unsigned> mtu = co_await std::move(measuring);
    if (mtu)
        path.mtu = *mtu;
    else
        path.trouble = mtu.error().message();
}

net::awaitable<void> ask_status(DoctorFacts& facts, std::filesystem::path socket)
{
    auto asking = io::ask_local_service(socket, io::now() + status_time);
    const Result<std::string> answer = co_await std::move(asking);
    facts.status_trouble = answer ? "" : answer.error().message();
}

net::awaitable<void> try_status(DoctorFacts& facts, std::filesystem::path path)
{
    const auto executor = co_await net::this_coro::executor;
    std::optional<io::LocalService> service;
    if (const auto made = io::make_private_directory(path.parent_path()); !made) {
        facts.status_trouble = made.error().message();
        co_return;
    }
    try {
        service.emplace(executor, path, [] { return std::string{"{}"}; });
    } catch (const boost::system::system_error& error) {
        facts.status_trouble = error.code().message();
        co_return;
    }
    io::TaskScope scope{executor, [](const std::exception_ptr&) {}};
    scope.spawn(service->run());
    auto asking = ask_status(facts, std::move(path));
    auto running = scope.run(std::move(asking));
    co_await std::move(running);
}

net::awaitable<void> examine(DoctorFacts& facts, Settings settings, Random& random)
{
    auto status = try_status(facts, settings.status_socket);
    co_await std::move(status);
    auto looking = look_up(facts);
    co_await std::move(looking);
    auto dialling = dial_each(facts);
    co_await std::move(dialling);
    const bool connects = std::ranges::any_of(
        facts.dialled, [](const auto& dialled) { return dialled.took.has_value(); });
    if (!connects)
        co_return;
    auto knocking = knock(facts, settings.node.gateway);
    co_await std::move(knocking);
    const auto& trouble = facts.door->failure;
    if (facts.tls && trouble && *trouble != io::WebFailure::not_a_gateway)
        co_return; // a session would fail in the same way
    settings.node.give_up_when_unreachable = true;
    DoctorSession session{co_await net::this_coro::executor, settings, random, facts};
    auto observing = session.run();
    auto asking = ask_router(facts, settings.port_mapping, random);
    auto both = io::together(std::move(observing), std::move(asking));
    co_await std::move(both);
    if (const auto gateway = session.gateway()) {
        auto measuring = measure_path(facts, *gateway);
        co_await std::move(measuring);
    }
}

/// What every command does before its work, with the trouble as a fact.
std::optional<Settings> prepare(const CommandLine& line, DoctorFacts& facts, Random& random)
{
    try {
        if (const auto found = program::find_configuration("client", line.common.config))
            facts.configuration_file = found->second;
        const auto config = program::load_configuration<config::ClientConfig>(
            "client", line.common.config, config::load_client_config);
        program::start_log(config.log, line.common.log, LogLevel::error);
        const auto state = program::open_state("client", line.common.state, config.state);
        facts.state = state.string();
        return make_settings(line, config, state, random);
    } catch (const Failure& failure) {
        const std::string_view what = failure.what();
        facts.configuration_trouble =
            what.empty() ? "the configuration has the mistakes that are named above" : what;
        return std::nullopt;
    }
}

} // namespace

ExitCode run_doctor(const DoctorCommand& command, const CommandLine& line, Random& random)
{
    DoctorFacts facts;
    facts.now = io::unix_now();
    facts.proxy_variables = proxy_variables();
    if (auto settings = prepare(line, facts, random)) {
        facts.gateway = settings->node.gateway.gateway;
        facts.tls = settings->node.gateway.tls;
        facts.pinned = settings->node.gateway.pin.has_value();
        facts.token_expires = claimed_end(settings->node.gateway.bearer);
        if (!io::run_until_stopped(examine(facts, std::move(*settings), random)))
            return ExitCode::success;
    }
    const std::vector<Check> checks = judge(facts);
    fmt::print("{}", command.json ? render_json(checks) : render_text(checks));
    std::fflush(stdout);
    return exit_code(checks);
}

} // namespace narrowlink::client

// Theory of operation
//
// Threads: the first runs the listeners and the hub, and like each of the others a share of the
// connections. A connection keeps its thread for life; threads exchange whole blocks and control
// messages by posting, and share nothing else but the Authority and the connection limits.
//
// Stop: listeners close, every node is told and gets a moment to read it, sessions are joined on
// their threads, threads end.

#include "narrowlink/gateway/gateway.hpp"

#include "authority.hpp"
#include "hub.hpp"
#include "observer.hpp"
#include "session.hpp"
#include "site.hpp"
#include "worker.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/signals.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

namespace narrowlink::gateway {
namespace {

/// What the nodes get to read the reason before their sessions are cut.
constexpr Duration farewell = std::chrono::milliseconds{700};

std::vector<std::unique_ptr<Worker>> make_workers(std::size_t count)
{
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i)
        workers.push_back(std::make_unique<Worker>());
    return workers;
}

std::vector<net::any_io_executor> executors_of(const std::vector<std::unique_ptr<Worker>>& workers)
{
    std::vector<net::any_io_executor> executors;
    for (const auto& worker : workers)
        executors.emplace_back(worker->context.get_executor());
    return executors;
}

net::awaitable<void> join_sessions(Worker& worker)
{
    auto joining = worker.sessions.join();
    co_await std::move(joining);
}

/// RFC 6750 §3.1, as any protected web service would answer; the sentence for people is the node's.
io::WebResponse unauthorized(const ErrorCode& error)
{
    std::string_view reason = "signature";
    if (error == access::TokenError::expired)
        reason = "expired";
    else if (error == access::TokenError::revoked)
        reason = "revoked";
    else if (error == access::TokenError::wrong_kind)
        reason = "scope";
    io::WebResponse response;
    response.status = 401;
    response.content_type = "application/json";
    response.body = boost::json::serialize(boost::json::value{
        {"error", "invalid_token"}, {"error_description", reason}});
    response.fields.emplace_back("WWW-Authenticate", "Bearer error=\"invalid_token\"");
    return response;
}

} // namespace

class Gateway::Impl final : public io::WebApplication {
public:
    Impl(Settings settings, Random& random)
        : workers_{make_workers(settings.threads)}
        , observer_{workers_.front()->context.get_executor(),
                    {settings.probes.listen, settings.probes.ports}}
        , session_config_{session_config(settings, observer_)}
        , authority_{std::move(settings.secret), std::move(settings.tokens_file)}
        , site_{settings.site}
        , hub_{workers_.front()->context.get_executor(), settings.registry,
               {.ports = observer_.ports(), .addresses = settings.probes.addresses}, authority_,
               random}
        , server_{std::move(settings.web), *this, executors_of(workers_)}
    {
    }

    void run(const std::function<void()>& on_ready);

    [[nodiscard]] std::vector<SocketAddress> addresses() const { return server_.addresses(); }

    io::WebResponse respond(const io::WebRequest& request) override
    {
        return site_.respond(request);
    }

    std::variant<Accept, io::WebResponse> authorize(const io::WebRequest& request) override;
    void adopt(io::WebSocket socket, io::WebRequest request, std::size_t thread) override;

private:
    net::awaitable<void> serve_until_signal();

    static Session::Config session_config(const Settings&, const Observer&);

    std::vector<std::unique_ptr<Worker>> workers_;
    Observer observer_;
    Session::Config session_config_;
    Authority authority_;
    Site site_;
    Hub hub_;
    io::WebServer server_;
    std::atomic<std::uint64_t> last_session_ = 0;
};

Session::Config Gateway::Impl::session_config(const Settings& settings, const Observer& observer)
{
    Session::Config config{settings.session, settings.queue};
    if (observer.is_active())
        for (const std::string_view feature :
             {control::direct_feature, control::udp_relay_feature,
              control::mapping_lifetime_feature})
            config.control.features.emplace_back(feature);
    return config;
}

std::variant<io::WebApplication::Accept, io::WebResponse>
Gateway::Impl::authorize(const io::WebRequest& request)
{
    if (std::ranges::count(request.bearer, '.') != 2)
        return site_.respond(request); // not even shaped like a token: a stranger
    const auto admission = authority_.admit(request.bearer);
    if (admission)
        return Accept{};
    io::log_event(LogLevel::info, "token_rejected", "remote", to_string(request.remote), "reason",
                  admission.error());
    if (admission.error() == access::TokenError::malformed)
        return site_.respond(request); // not a token at all: a stranger
    return unauthorized(admission.error());
}

void Gateway::Impl::adopt(io::WebSocket socket, io::WebRequest request, std::size_t thread)
{
    auto admission = authority_.admit(request.bearer);
    if (!admission)
        return; // expired or revoked within this very moment
    Worker& worker = *workers_[thread];
    const control::SessionId id{++last_session_};
    const auto session =
        std::make_shared<Session>(session_config_, id, worker, std::move(socket),
                                  std::move(*admission), request, authority_, hub_);
    worker.sessions.spawn(session->run());
}

net::awaitable<void> Gateway::Impl::serve_until_signal()
{
    auto executor = co_await net::this_coro::executor;
    io::TaskScope scope{executor, [](const std::exception_ptr&) {}};
    scope.spawn(hub_.run());
    observer_.start(scope, hub_);
    io::Signals signals{executor};
    for (;;) {
        auto next = signals.next();
        if (co_await std::move(next) != io::Signal::hang_up)
            break;
    }
    io::log_event(LogLevel::info, "stopping");
    hub_.shut_down();
    auto stopping = server_.stop();
    co_await std::move(stopping);
    net::steady_timer timer{executor, farewell};
    co_await timer.async_wait(net::use_awaitable);
    auto joining = scope.join();
    co_await std::move(joining);
}

void Gateway::Impl::run(const std::function<void()>& on_ready)
{
    for (std::size_t i = 1; i < workers_.size(); ++i)
        workers_[i]->thread = std::thread{[worker = workers_[i].get()] { worker->context.run(); }};
    Worker& first = *workers_.front();
    server_.start();
    on_ready();

    net::co_spawn(first.context, serve_until_signal(), [this](const std::exception_ptr& failure) {
        if (failure)
            std::rethrow_exception(failure);
        for (const auto& worker : workers_)
            net::co_spawn(worker->context, join_sessions(*worker),
                          [worker = worker.get()](const std::exception_ptr&) {
                              worker->guard.reset();
                          });
    });
    first.context.run();
    for (const auto& worker : workers_)
        if (worker->thread.joinable())
            worker->thread.join();
}

Gateway::Gateway(Settings settings, Random& random)
    : impl_{std::make_unique<Impl>(std::move(settings), random)}
{
}

Gateway::Gateway(Gateway&&) noexcept = default;

Gateway::~Gateway() = default;

void Gateway::run(const std::function<void()>& on_ready)
{
    impl_->run(on_ready);
}

std::vector<SocketAddress> Gateway::addresses() const
{
    return impl_->addresses();
}

} // namespace narrowlink::gateway

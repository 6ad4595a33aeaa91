#include "narrowlink/agent/command_line.hpp"
#include "narrowlink/drive/refusal_sentence.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/notify.hpp"
#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/together.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>

namespace narrowlink::agent {
namespace {

struct Stopped {};

net::awaitable<void> wait_for_stop(io::Signals& signals)
{
    for (;;) {
        auto next = signals.next();
        if (co_await std::move(next) != io::Signal::hang_up)
            throw Stopped{};
    }
}

net::awaitable<void> run_agent(Agent& agent)
{
    std::optional<Failure> failure;
    try {
        auto running = agent.run();
        co_await std::move(running);
    } catch (const io::WebError& error) {
        failure.emplace(error.failure() == io::WebFailure::unauthorized
                            ? ExitCode::token_refused
                            : ExitCode::gateway_unavailable,
                        drive::refusal_sentence(error));
    } catch (const drive::SessionRefused& refused) {
        failure.emplace(ExitCode::token_refused, refused.what());
    }
    if (failure)
        throw *failure;
}

net::awaitable<void> run_until_stopped(Agent& agent)
{
    io::Signals signals{co_await net::this_coro::executor};
    try {
        auto running = run_agent(agent);
        auto stop = wait_for_stop(signals);
        auto both = io::together(std::move(running), std::move(stop));
        co_await std::move(both);
    } catch (const Stopped&) {
        io::log_event(LogLevel::info, "stopping");
    }
}

} // namespace

void run(Settings settings, Random& random, const std::function<void()>& on_running)
{
    net::io_context context{1};
    bool running = false;
    bool ready = false;
    Agent agent{context.get_executor(), std::move(settings), random, [&](bool connected) {
                    if (!std::exchange(running, true))
                        on_running();
                    if (!connected || std::exchange(ready, true))
                        return;
                    if (const auto told = io::notify_ready(); !told)
                        io::log_event(LogLevel::warning, "notify_failed", "error", told.error());
                }};
    net::co_spawn(context, run_until_stopped(agent), [](const std::exception_ptr& failure) {
        if (failure)
            std::rethrow_exception(failure);
    });
    context.run();
    (void)io::notify_stopping();
}

} // namespace narrowlink::agent

// Feeds any text to the three loaders and checks that a configuration comes out or a list of
// problems with usable places, and that loading is repeatable.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/config/agent_config.hpp"
#include "narrowlink/config/client_config.hpp"
#include "narrowlink/config/gateway_config.hpp"

#include <algorithm>
#include <cstdlib>

using namespace narrowlink;

namespace {

template <class Config>
void check(const config::Outcome<Config>& outcome, const config::Outcome<Config>& again,
           std::string_view text)
{
    if (outcome != again)
        std::abort();
    const auto* problems = std::get_if<std::vector<config::Problem>>(&outcome);
    if (!problems)
        return;
    if (problems->empty())
        std::abort(); // refused without a reason
    const auto lines = static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return c == '\n' || c == '\r'; }));
    for (const config::Problem& problem : *problems) {
        if (problem.line == 0 || problem.column == 0 || problem.line > lines + 2)
            std::abort();
        const std::string line = to_string(problem);
        if (line.find('\n') != std::string::npos || problem.text.empty())
            std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    check(config::load_gateway_config(text, "f"), config::load_gateway_config(text, "f"), text);
    check(config::load_agent_config(text, "f"), config::load_agent_config(text, "f"), text);
    check(config::load_client_config(text, "f"), config::load_client_config(text, "f"), text);
    return 0;
}

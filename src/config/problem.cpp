#include "narrowlink/config/problem.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace narrowlink::config {

std::string to_string(const Problem& problem)
{
    std::string text = fmt::format("{}:{}:{}: {}{}{}", problem.file, problem.line, problem.column,
                                   problem.key, problem.key.empty() ? "" : ": ", problem.text);
    // A key may be any text, also one that would move the cursor of a terminal.
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return text;
}

} // namespace narrowlink::config

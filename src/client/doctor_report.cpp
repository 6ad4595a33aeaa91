#include "doctor.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace narrowlink::client {

std::string_view to_string(Verdict verdict)
{
    switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::warning: return "warn";
    case Verdict::failed: return "fail";
    case Verdict::skipped: return "skip";
    }
    return "";
}

std::string render_text(const std::vector<Check>& checks)
{
    std::size_t width = 0;
    for (const Check& check : checks)
        width = std::max(width, check.name.size());
    std::string text;
    for (const Check& check : checks) {
        text += fmt::format("{:<4}  {:<{}}  {}\n", to_string(check.verdict), check.name, width,
                            check.finding);
        if (!check.remedy.empty())
            text += fmt::format("{:<4}  {:<{}}  > {}\n", "", "", width, check.remedy);
    }
    return text;
}

std::string render_json(const std::vector<Check>& checks)
{
    boost::json::array array;
    for (const Check& check : checks)
        array.push_back(boost::json::object{{"check", check.name},
                                            {"verdict", to_string(check.verdict)},
                                            {"finding", check.finding},
                                            {"remedy", check.remedy}});
    return boost::json::serialize(array) + "\n";
}

ExitCode exit_code(const std::vector<Check>& checks)
{
    const bool failed = std::ranges::any_of(
        checks, [](const Check& check) { return check.verdict == Verdict::failed; });
    return failed ? ExitCode::unhealthy : ExitCode::success;
}

} // namespace narrowlink::client

#include "site.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/files.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

constexpr std::size_t largest_site = 16 * 1'024 * 1'024;

constexpr std::string_view default_page =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Welcome</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width\"></head>\n"
    "<body><h1>Welcome</h1><p>This site is being set up. Please come back later.</p></body>\n"
    "</html>\n";

constexpr std::string_view not_found_page =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>404 Not Found</title>"
    "</head>\n<body><h1>Not Found</h1><p>The requested page does not exist.</p></body>\n</html>\n";

constexpr std::string_view html = "text/html; charset=utf-8";

std::string_view content_type_of(const std::filesystem::path& file)
{
    constexpr std::array<std::pair<std::string_view, std::string_view>, 12> types = {{
        {".html", html},
        {".htm", html},
        {".css", "text/css"},
        {".js", "text/javascript"},
        {".txt", "text/plain; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".webp", "image/webp"},
        {".woff2", "font/woff2"},
    }};
    const std::string extension = file.extension().string();
    for (const auto& [suffix, type] : types)
        if (suffix == extension)
            return type;
    return "application/octet-stream";
}

} // namespace

Site::Site(const std::optional<std::filesystem::path>& folder)
{
    if (!folder) {
        pages_.emplace("/", Page{std::string{html}, std::string{default_page}});
        return;
    }
    std::error_code error;
    std::size_t total = 0;
    for (auto it = std::filesystem::recursive_directory_iterator{*folder, error};
         !error && it != std::filesystem::recursive_directory_iterator{}; it.increment(error)) {
        if (!it->is_regular_file(error))
            continue;
        auto body = io::read_file(it->path(), largest_site);
        if (!body || (total += body->size()) > largest_site)
            throw Failure{ExitCode::configuration,
                          fmt::format("site: cannot serve {}: {}", it->path().string(),
                                      body ? "the folder holds more than 16 MiB"
                                           : body.error().message())};
        const std::string path = "/" + it->path().lexically_relative(*folder).generic_string();
        Page page{std::string{content_type_of(it->path())}, std::move(*body)};
        if (it->path().filename() == "index.html")
            pages_.emplace(path.substr(0, path.size() - std::string_view{"index.html"}.size()),
                           page);
        pages_.emplace(path, std::move(page));
    }
    if (error)
        throw Failure{ExitCode::configuration,
                      fmt::format("site: cannot read the folder {}: {}", folder->string(),
                                  error.message())};
}

io::WebResponse Site::respond(const io::WebRequest& request) const
{
    const std::string_view path =
        std::string_view{request.target}.substr(0, request.target.find('?'));
    const auto page = pages_.find(path);
    if (page == pages_.end())
        return {404, std::string{html}, std::string{not_found_page}};
    return {200, page->second.content_type, page->second.body};
}

} // namespace narrowlink::gateway

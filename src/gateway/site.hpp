#pragma once

#include "narrowlink/io/web_server.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace narrowlink::gateway {

/// What strangers see: an ordinary small web site that says nothing about what runs here.
class Site {
public:
    /// With a folder, its files are read now: HTML, CSS, images and the like, up to 16 MiB together.
    /// Throws Failure when it cannot be read.
    explicit Site(const std::optional<std::filesystem::path>& folder);

    [[nodiscard]] io::WebResponse respond(const io::WebRequest& request) const;

private:
    struct Page {
        std::string content_type;
        std::string body;
    };

    std::map<std::string, Page, std::less<>> pages_; ///< by path
};

} // namespace narrowlink::gateway

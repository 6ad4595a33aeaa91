#include "site.hpp"

#include "narrowlink/base/failure.hpp"

#include "../io/temporary_directory.hpp"
#include "../program/ending.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace narrowlink::gateway {
namespace {

using testing::HasSubstr;

io::WebResponse get(const Site& site, std::string target)
{
    io::WebRequest request;
    request.method = "GET";
    request.target = std::move(target);
    return site.respond(request);
}

TEST(Site, WithoutAFolderIsOneSmallPage)
{
    const Site site{std::nullopt};
    EXPECT_EQ(get(site, "/").status, 200U);
    EXPECT_EQ(get(site, "/?utm=x").status, 200U);
    EXPECT_EQ(get(site, "/").content_type, "text/html; charset=utf-8");
    const io::WebResponse missing = get(site, "/admin");
    EXPECT_EQ(missing.status, 404U);
    EXPECT_EQ(missing.content_type, "text/html; charset=utf-8");
    for (const std::string& body : {get(site, "/").body, missing.body}) {
        EXPECT_FALSE(body.empty());
        EXPECT_THAT(body, testing::Not(HasSubstr("arrowlink")))
            << "it says nothing about what runs here";
    }
}

struct SiteFolder : testing::Test {
    SiteFolder()
    {
        folder.put("site/index.html", "home");
        folder.put("site/style.css", "css");
        folder.put("site/notes/index.html", "notes");
        folder.put("site/notes/one.txt", "one");
        folder.put("site/empty.txt", "");
        folder.put("secret.txt", "secret");
    }

    [[nodiscard]] Site open() const { return Site{folder.path() / "site"}; }

    test::TemporaryDirectory folder;
};

TEST_F(SiteFolder, ServesItsFilesByPath)
{
    for (const auto& path :
         {folder.path() / "site", folder.path() / "site" / "", folder.path() / "." / "site"}) {
        const Site site{path};
        EXPECT_EQ(get(site, "/style.css").body, "css") << path;
        EXPECT_EQ(get(site, "/notes/one.txt").body, "one") << path;
        EXPECT_EQ(get(site, "/empty.txt").status, 200U) << path;
    }
}

TEST_F(SiteFolder, AnIndexIsAlsoItsFolder)
{
    const Site site = open();
    EXPECT_EQ(get(site, "/").body, "home");
    EXPECT_EQ(get(site, "/index.html").body, "home");
    EXPECT_EQ(get(site, "/notes/").body, "notes");
    std::filesystem::remove(folder.path() / "site/index.html");
    EXPECT_EQ(get(open(), "/").status, 404U) << "no listing of the folder";
}

TEST_F(SiteFolder, TheQueryIsNoPartOfThePath)
{
    const Site site = open();
    EXPECT_EQ(get(site, "/style.css?v=2").body, "css");
    EXPECT_EQ(get(site, "/style.css?").body, "css");
    EXPECT_EQ(get(site, "/?/../x").body, "home");
}

TEST_F(SiteFolder, NothingButItsFilesIsThere)
{
    const Site site = open();
    for (const char* target :
         {"", "*", "style.css", "/missing", "/notes", "/style.css/", "//style.css", "/./style.css",
          "/STYLE.CSS", "/../secret.txt", "/notes/../style.css", "/notes/../../secret.txt",
          "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/..\\secret.txt", "/notes/..", "/.",
          "http://host/style.css"}) {
        const io::WebResponse response = get(site, target);
        EXPECT_EQ(response.status, 404U) << target;
        EXPECT_THAT(response.body, testing::Not(HasSubstr("secret"))) << target;
    }
}

TEST_F(SiteFolder, NamesTheTypeOfEachFile)
{
    constexpr std::pair<const char*, const char*> table[] = {
        {"a.html", "text/html; charset=utf-8"},
        {"a.htm", "text/html; charset=utf-8"},
        {"a.css", "text/css"},
        {"a.js", "text/javascript"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.json", "application/json"},
        {"a.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"favicon.ico", "image/x-icon"},
        {"a.webp", "image/webp"},
        {"a.woff2", "font/woff2"},
        {"a.tar.gz", "application/octet-stream"},
        {"README", "application/octet-stream"},
    };
    for (const auto& [name, type] : table)
        folder.put(std::filesystem::path{"site"} / name, "x");
    const Site site = open();
    for (const auto& [name, type] : table)
        EXPECT_EQ(get(site, std::string{"/"} + name).content_type, type) << name;
}

TEST_F(SiteFolder, IsReadOnceAtTheStart)
{
    const Site site = open();
    folder.put("site/style.css", "changed");
    folder.put("site/late.txt", "late");
    EXPECT_EQ(get(site, "/style.css").body, "css");
    EXPECT_EQ(get(site, "/late.txt").status, 404U);
}

TEST_F(SiteFolder, ThatCannotBeServedIsAMistakeOfTheConfiguration)
{
    const auto missing = test::ending_of([&] { Site{folder.path() / "missing"}; });
    EXPECT_EQ(missing.code, ExitCode::configuration);
    EXPECT_THAT(missing.sentence, HasSubstr("missing"));
    EXPECT_EQ(test::ending_of([&] { Site{folder.path() / "secret.txt"}; }).code,
              ExitCode::configuration);

    folder.put("site/large", std::string(9 * 1'024 * 1'024, 'x'));
    EXPECT_EQ(test::ending_of([&] { (void)open(); }).code, std::nullopt);
    folder.put("site/larger", std::string(9 * 1'024 * 1'024, 'x'));
    const auto too_large = test::ending_of([&] { (void)open(); });
    EXPECT_EQ(too_large.code, ExitCode::configuration);
    EXPECT_THAT(too_large.sentence, HasSubstr("16 MiB"));
}

} // namespace
} // namespace narrowlink::gateway

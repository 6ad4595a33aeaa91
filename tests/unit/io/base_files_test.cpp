#include "narrowlink/io/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

namespace errc = boost::system::errc;
namespace fs = std::filesystem;

struct Files : testing::Test {
    Files()
    {
        std::string name = testing::TempDir() + "narrowlink-XXXXXX";
        directory = ::mkdtemp(name.data());
    }

    ~Files() override { fs::remove_all(directory); }

    static unsigned mode(const fs::path& path)
    {
        struct stat found {};

        EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
        return found.st_mode & 07777U;
    }

    fs::path directory;
};

TEST_F(Files, ReadsWhatWasWritten)
{
    const std::string content = "two\nlines\0and a zero byte";
    ASSERT_TRUE(write_file_atomically(directory / "file", as_bytes(content)));
    EXPECT_EQ(read_file(directory / "file", 1'000).value(), content);
}

TEST_F(Files, ReadsUpToTheLimitAndNoFurther)
{
    ASSERT_TRUE(write_file_atomically(directory / "file", as_bytes("12345")));
    EXPECT_EQ(read_file(directory / "file", 5).value(), "12345");
    EXPECT_EQ(read_file(directory / "file", 4).error(), errc::file_too_large);
    EXPECT_EQ(read_file("/dev/zero", 100'000).error(), errc::file_too_large);
}

TEST_F(Files, TellsWhyAFileCannotBeRead)
{
    EXPECT_EQ(read_file(directory / "missing", 5).error(), errc::no_such_file_or_directory);
    EXPECT_EQ(read_file(directory, 5).error(), errc::is_a_directory);
}

TEST_F(Files, KeepsAFileSecretWhateverTheUmask)
{
    const mode_t before = ::umask(0);
    ASSERT_TRUE(write_file_atomically(directory / "secret", as_bytes("x")));
    ::umask(0777);
    ASSERT_TRUE(write_file_atomically(directory / "readable", as_bytes("x"), FileMode::readable));
    ::umask(before);
    EXPECT_EQ(mode(directory / "secret"), 0600U);
    EXPECT_EQ(mode(directory / "readable"), 0644U);
}

TEST_F(Files, ReplacesAFileAndLeavesNothingElseBehind)
{
    ASSERT_TRUE(write_file_atomically(directory / "file", as_bytes("old")));
    std::ifstream reader{directory / "file"};
    ASSERT_TRUE(write_file_atomically(directory / "file", as_bytes("new")));
    std::string seen;
    reader >> seen;
    EXPECT_EQ(seen, "old") << "a reader never sees a half-written file";
    EXPECT_EQ(read_file(directory / "file", 10).value(), "new");
    EXPECT_EQ(std::distance(fs::directory_iterator{directory}, {}), 1);
}

TEST_F(Files, LeavesNothingBehindWhenItFails)
{
    fs::create_directories(directory / "taken" / "by a directory");
    EXPECT_FALSE(write_file_atomically(directory / "taken", as_bytes("x")));
    EXPECT_FALSE(write_file_atomically(directory / "missing" / "file", as_bytes("x")));
    EXPECT_EQ(std::distance(fs::directory_iterator{directory}, {}), 1);
}

TEST_F(Files, GivesWhatRootWritesToTheOwnerOfTheDirectory)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    constexpr uid_t somebody = 12'345;
    ASSERT_EQ(::chown(directory.c_str(), somebody, somebody), 0);
    ASSERT_TRUE(write_file_atomically(directory / "file", as_bytes("x")));
    const auto lock = FileLock::take(directory / "lock");
    for (const char* name : {"file", "lock"}) {
        struct stat found {};

        ASSERT_EQ(::stat((directory / name).c_str(), &found), 0);
        EXPECT_EQ(found.st_uid, somebody) << name;
    }
}

TEST_F(Files, MakesADirectoryThatIsPrivateAtEveryLevel)
{
    ASSERT_TRUE(make_private_directory(directory / "a" / "b" / "c"));
    ASSERT_TRUE(make_private_directory(directory / "a" / "b" / "c")) << "again";
    for (const char* name : {"a", "a/b", "a/b/c"})
        EXPECT_EQ(mode(directory / name), 0700U) << name;
    std::ofstream{directory / "file"} << "x";
    EXPECT_EQ(make_private_directory(directory / "file").error(), errc::not_a_directory);
    EXPECT_FALSE(make_private_directory(directory / "file" / "below"));
}

TEST_F(Files, LetsOneHolderHaveTheLock)
{
    const fs::path path = directory / "lock";
    {
        const auto first = FileLock::try_take(path);
        ASSERT_TRUE(first);
        EXPECT_EQ(FileLock::try_take(path).error(), errc::device_or_resource_busy);
        EXPECT_EQ(FileLock::holder(path), ::getpid());
    }
    EXPECT_TRUE(FileLock::try_take(path));
}

TEST_F(Files, FreesTheLockOfAProcessThatDied)
{
    const fs::path path = directory / "lock";
    const pid_t child = ::fork();
    if (child == 0) {
        const auto lock = FileLock::try_take(path);
        ::_exit(lock ? 0 : 1); // without the destructor
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(FileLock::holder(path), child);
    EXPECT_TRUE(FileLock::take(path));
}

struct Places : testing::Test {
    Places()
    {
        for (const char* name : {"HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"})
            if (const char* value = std::getenv(name))
                saved.emplace_back(name, value);
        ::setenv("HOME", "/home/ann", 1);
        ::unsetenv("XDG_STATE_HOME");
        ::unsetenv("XDG_CONFIG_HOME");
    }

    ~Places() override
    {
        for (const auto& [name, value] : saved)
            ::setenv(name.c_str(), value.c_str(), 1);
    }

    std::vector<std::pair<std::string, std::string>> saved;
};

TEST_F(Places, KeepsStateWhereTheEnvironmentSays)
{
    const char* expected =
        ::geteuid() == 0 ? "/var/lib/narrowlink/agent" : "/home/ann/.local/state/narrowlink/agent";
    EXPECT_EQ(state_directory("agent"), expected);
    ::setenv("XDG_STATE_HOME", "relative/path", 1);
    EXPECT_EQ(state_directory("agent"), expected);
    ::setenv("XDG_STATE_HOME", "/state", 1);
    EXPECT_EQ(state_directory("gateway"), "/state/narrowlink/gateway");
}

TEST_F(Places, LooksForTheConfigurationInTheDocumentedOrder)
{
    using testing::ElementsAre;
    EXPECT_THAT(config_search_order("client"),
                ElementsAre("./client.yaml", "/home/ann/.config/narrowlink/client.yaml",
                            "/home/ann/.narrowlink/client.yaml", "/etc/narrowlink/client.yaml"));
    ::setenv("XDG_CONFIG_HOME", "/config", 1);
    EXPECT_THAT(config_search_order("client"),
                ElementsAre("./client.yaml", "/config/narrowlink/client.yaml",
                            "/home/ann/.narrowlink/client.yaml", "/etc/narrowlink/client.yaml"));
}

TEST_F(Places, FindsTheFirstConfigurationThatExists)
{
    struct Directory : Files {
        void TestBody() override {}
    };

    const Directory files;
    ::setenv("XDG_CONFIG_HOME", files.directory.c_str(), 1);
    EXPECT_EQ(find_config_file("no-such-role"), std::nullopt);
    fs::create_directory(files.directory / "narrowlink");
    const fs::path file = files.directory / "narrowlink" / "no-such-role.yaml";
    std::ofstream{file} << "x: 1\n";
    EXPECT_EQ(find_config_file("no-such-role"), file);
}

} // namespace
} // namespace narrowlink::io

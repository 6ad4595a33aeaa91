#pragma once

#include "narrowlink/base/bytes.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <sys/stat.h>

namespace narrowlink::test {

/// A new directory, gone again at the end of its owner.
class TemporaryDirectory {
public:
    TemporaryDirectory()
    {
        std::string name = testing::TempDir() + "narrowlink-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }

    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    ~TemporaryDirectory()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    /// Writes a file, and the folders it is in.
    std::filesystem::path put(const std::filesystem::path& name, std::string_view content) const
    {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream{file, std::ios::binary} << content;
        return file;
    }

    [[nodiscard]] std::string get(const std::filesystem::path& name) const
    {
        std::ifstream in{path_ / name, std::ios::binary};
        EXPECT_TRUE(in) << name;
        return {std::istreambuf_iterator<char>{in}, {}};
    }

    [[nodiscard]] unsigned mode(const std::filesystem::path& name) const
    {
        struct stat found {};

        EXPECT_EQ(::stat((path_ / name).c_str(), &found), 0) << name;
        return found.st_mode & 07777U;
    }

private:
    std::filesystem::path path_;
};

} // namespace narrowlink::test

// Runs a fuzz target on every file of the folders given: the corpus as a plain test, for compilers
// without libFuzzer.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder)
{
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{folder})
        if (entry.is_regular_file() && entry.path().filename().string().front() != '.')
            files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

void replay(const std::filesystem::path& file)
{
    std::ifstream in{file, std::ios::binary};
    in.exceptions(std::ios::badbit | std::ios::failbit);
    const std::string text{std::istreambuf_iterator<char>{in}, {}};

    // Exactly as many bytes as there are, so that a sanitizer sees a read behind the last one.
    const std::vector<std::uint8_t> bytes{text.begin(), text.end()};
    std::fprintf(stderr, "%s\n", file.c_str()); // the last line names the input that crashed
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

} // namespace

int main(int argc, char** argv)
try {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i)
        for (const auto& file : files_of(argv[i])) {
            replay(file);
            ++count;
        }
    if (count == 0) {
        std::fputs("no corpus: there is no file to replay in the folders given; every fuzz target "
                   "needs tests/fuzz/corpus/<name>/ with at least one file\n",
                   stderr);
        return 1;
    }
    std::fprintf(stderr, "replayed %zu files\n", count);
    return 0;

} catch (const std::exception& failure) {
    std::fprintf(stderr, "replay failed: %s\n", failure.what());
    return 1;
}

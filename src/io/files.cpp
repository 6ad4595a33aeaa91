#include "narrowlink/io/files.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <utility>

#include <boost/system/system_category.hpp>
#include <fmt/format.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

namespace errc = boost::system::errc;
namespace fs = std::filesystem;

ErrorCode last_error()
{
    return {errno, boost::system::system_category()};
}

class Descriptor {
public:
    explicit Descriptor(int number) : number_{number} {}

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    ~Descriptor()
    {
        if (number_ >= 0)
            ::close(number_);
    }

    [[nodiscard]] bool is_open() const { return number_ >= 0; }

    [[nodiscard]] int get() const { return number_; }

private:
    int number_;
};

Result<> write_all(int descriptor, Bytes content)
{
    while (!content.empty()) {
        const ssize_t n = ::write(descriptor, content.data(), content.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return last_error();
        content = content.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

/// `.` for a bare file name.
fs::path directory_of(const fs::path& path)
{
    return path.has_parent_path() ? path.parent_path() : fs::path{"."};
}

void give_to_owner_of(const Descriptor& directory, const Descriptor& file)
{
    struct stat owner {};

    if (::geteuid() == 0 && ::fstat(directory.get(), &owner) == 0 && owner.st_uid != 0)
        [[maybe_unused]]
        const int ignored = ::fchown(file.get(), owner.st_uid, owner.st_gid);
}

Result<> write_new(const Descriptor& directory, const fs::path& path, Bytes content, FileMode mode)
{
    const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                 static_cast<mode_t>(mode))};
    if (!file.is_open())
        return last_error();
    give_to_owner_of(directory, file);
    if (auto written = write_all(file.get(), content); !written)
        return written;
    if (::fchmod(file.get(), static_cast<mode_t>(mode)) != 0 || ::fsync(file.get()) != 0)
        return last_error();
    return {};
}

/// An environment variable that holds an absolute path; the XDG specification ignores others.
std::optional<fs::path> directory_from_environment(const char* name)
{
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody calls setenv
    if (!value || *value != '/')
        return std::nullopt;
    return fs::path{value};
}

std::optional<fs::path> home()
{
    if (auto directory = directory_from_environment("HOME"))
        return directory;
    const passwd* entry = ::getpwuid(::geteuid()); // NOLINT(concurrency-mt-unsafe)
    if (!entry || !entry->pw_dir || *entry->pw_dir != '/')
        return std::nullopt;
    return fs::path{entry->pw_dir};
}

} // namespace

Result<std::string> read_file(const fs::path& path, std::size_t most)
{
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file.is_open())
        return last_error();
    std::string content;
    std::array<char, 65'536> chunk;
    for (;;) {
        const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return last_error();
        if (n == 0)
            return content;
        content.append(chunk.data(), static_cast<std::size_t>(n));
        if (content.size() > most)
            return make_error_code(errc::file_too_large);
    }
}

Result<> write_file_atomically(const fs::path& path, Bytes content, FileMode mode)
{
    static std::atomic<unsigned> count{0};
    const fs::path directory_path = directory_of(path);
    const Descriptor directory{::open(directory_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory.is_open())
        return last_error();
    const fs::path temporary =
        directory_path /
        fmt::format(".{}.{}.{}.new", path.filename().native(), ::getpid(), ++count);

    auto written = write_new(directory, temporary, content, mode);
    if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
        written = last_error();
    if (!written) {
        ::unlink(temporary.c_str());
        return written;
    }
    if (::fsync(directory.get()) != 0)
        return last_error();
    return {};
}

Result<> make_private_directory(const fs::path& path)
{
    if (path.empty())
        return make_error_code(errc::no_such_file_or_directory);

    struct stat found {};

    if (::stat(path.c_str(), &found) == 0) {
        if (!S_ISDIR(found.st_mode))
            return make_error_code(errc::not_a_directory);
        return {};
    }
    if (path.has_parent_path() && path.parent_path() != path)
        if (auto parent = make_private_directory(path.parent_path()); !parent)
            return parent;
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return last_error();
    return {};
}

Result<FileLock> FileLock::lock(const fs::path& path, int operation)
{
    FileLock lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (lock.descriptor_ < 0)
        return last_error();
    while (::flock(lock.descriptor_, operation) != 0) {
        if (errno == EWOULDBLOCK)
            return make_error_code(errc::device_or_resource_busy);
        if (errno != EINTR)
            return last_error();
    }
    const Descriptor directory{
        ::open(directory_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    const Descriptor own{::dup(lock.descriptor_)};
    give_to_owner_of(directory, own);
    // Only a hint for people: a lock without its holder's number is as good.
    const std::string number = fmt::format("{}\n", ::getpid());
    if (::ftruncate(lock.descriptor_, 0) == 0) [[maybe_unused]]
        const auto ignored = write_all(lock.descriptor_, as_bytes(number));
    return lock;
}

Result<FileLock> FileLock::try_take(const fs::path& path)
{
    return lock(path, LOCK_EX | LOCK_NB);
}

Result<FileLock> FileLock::take(const fs::path& path)
{
    return lock(path, LOCK_EX);
}

std::optional<int> FileLock::holder(const fs::path& path)
{
    const auto content = read_file(path, 32);
    if (!content)
        return std::nullopt;
    int number = 0;
    const auto parsed = std::from_chars(content->data(), content->data() + content->size(), number);
    if (parsed.ec != std::errc{} || number <= 0)
        return std::nullopt;
    return number;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}

FileLock& FileLock::operator=(FileLock&& other) noexcept
{
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

FileLock::~FileLock()
{
    if (descriptor_ >= 0)
        ::close(descriptor_);
}

fs::path state_directory(std::string_view role)
{
    if (const auto state = directory_from_environment("XDG_STATE_HOME"))
        return *state / "narrowlink" / role;
    const auto own = home();
    if (::geteuid() == 0 || !own)
        return fs::path{"/var/lib/narrowlink"} / role;
    return *own / ".local/state/narrowlink" / role;
}

std::vector<fs::path> config_search_order(std::string_view role)
{
    const std::string file = fmt::format("{}.yaml", role);
    const auto own = home();
    std::vector<fs::path> order{fs::path{"."} / file};
    if (const auto config = directory_from_environment("XDG_CONFIG_HOME"))
        order.push_back(*config / "narrowlink" / file);
    else if (own)
        order.push_back(*own / ".config/narrowlink" / file);
    if (own)
        order.push_back(*own / ".narrowlink" / file);
    order.push_back(fs::path{"/etc/narrowlink"} / file);
    return order;
}

std::optional<fs::path> find_config_file(std::string_view role)
{
    for (const fs::path& path : config_search_order(role)) {
        std::error_code ignored;
        if (fs::exists(path, ignored))
            return path;
    }
    return std::nullopt;
}

} // namespace narrowlink::io

#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::io {

/// The whole file. Reads what it gets, so that a pipe will do.
/// Errors: errc::file_too_large above `most` bytes; what open(2) or read(2) reported.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t most);

enum class FileMode : unsigned {
    secret = 0600, ///< keys, tokens, everything in the state directory
    readable = 0644,
};

/// Replaces `path` as one step, also across a power cut: a reader finds the old content or the new.
///
/// Run by root, it gives the file to the owner of the directory: a service that runs as another
/// user can still read its state after an administrator has changed it.
Result<> write_file_atomically(const std::filesystem::path& path, Bytes content,
                               FileMode mode = FileMode::secret);

/// Makes the directory and what is missing above it, mode 0700; an existing one is left as it is.
/// Errors: errc::not_a_directory; what mkdir(2) reported.
Result<> make_private_directory(const std::filesystem::path& path);

/// Holds flock(2) on a file of its own: one process at a time. The kernel lets go when it dies.
class FileLock {
public:
    /// Errors: errc::device_or_resource_busy when another process holds it; see holder().
    static Result<FileLock> try_take(const std::filesystem::path& path);

    /// Waits for it. For holders that are quick.
    static Result<FileLock> take(const std::filesystem::path& path);

    /// The process that took the lock last, if that is known.
    static std::optional<int> holder(const std::filesystem::path& path);

    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    ~FileLock();

private:
    explicit FileLock(int descriptor) : descriptor_{descriptor} {}

    static Result<FileLock> lock(const std::filesystem::path& path, int operation);

    int descriptor_;
};

/// Where a program keeps its state unless told otherwise; `role` is gateway, agent or client.
/// `$XDG_STATE_HOME/narrowlink/ROLE`, else `/var/lib/narrowlink/ROLE` for root and
/// `~/.local/state/narrowlink/ROLE` for others.
std::filesystem::path state_directory(std::string_view role);

/// Where ROLE.yaml is looked for when no file is named, first to last.
std::vector<std::filesystem::path> config_search_order(std::string_view role);

/// The first of them that exists.
std::optional<std::filesystem::path> find_config_file(std::string_view role);

} // namespace narrowlink::io

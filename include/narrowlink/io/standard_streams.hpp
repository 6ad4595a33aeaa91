#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/io/asio.hpp"

#include <memory>

#include <unistd.h>

namespace narrowlink::io {

class SharedDescriptor;

/// What the user or ssh(1) sends us: a terminal, pipe, socket, file or /dev/null.
///
/// The descriptor is shared with the shell or ssh that started us, and so is its O_NONBLOCK flag:
/// it is as before once this object is gone.
class StandardInput {
public:
    explicit StandardInput(const net::any_io_executor& executor, int descriptor = STDIN_FILENO);
    StandardInput(StandardInput&&) noexcept;
    StandardInput& operator=(StandardInput&&) = delete;
    ~StandardInput();

    /// At least one byte, or 0 at the end of the input. Throws what read(2) reported.
    net::awaitable<std::size_t> read_some(MutableBytes block);

private:
    std::unique_ptr<SharedDescriptor> descriptor_;
};

/// Where data goes, and nothing but data. As StandardInput. A reader that has gone is
/// errc::broken_pipe, never a signal: the constructor calls ignore_broken_pipes().
class StandardOutput {
public:
    explicit StandardOutput(const net::any_io_executor& executor, int descriptor = STDOUT_FILENO);
    StandardOutput(StandardOutput&&) noexcept;
    StandardOutput& operator=(StandardOutput&&) = delete;
    ~StandardOutput();

    /// Requires: `block` stays until the await has ended. Throws what write(2) reported.
    net::awaitable<void> write(Bytes block);

    /// The reader sees the end while our input stays open. The descriptor leads to /dev/null then.
    void close();

private:
    std::unique_ptr<SharedDescriptor> descriptor_;
};

/// Opens /dev/null on each of the descriptors 0, 1 and 2 that is closed, so that no socket gets
/// their number and our messages. The first line of main().
void open_missing_standard_streams();

} // namespace narrowlink::io

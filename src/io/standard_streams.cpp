#include "narrowlink/io/standard_streams.hpp"

#include "narrowlink/io/signals.hpp"
#include "shared_descriptor.hpp"

#include <cerrno>

#include <fcntl.h>

namespace narrowlink::io {

StandardInput::StandardInput(const net::any_io_executor& executor, int descriptor)
    : descriptor_{std::make_unique<SharedDescriptor>(executor, descriptor,
                                                     SharedDescriptor::Direction::read)}
{
}

StandardInput::StandardInput(StandardInput&&) noexcept = default;
StandardInput::~StandardInput() = default;

net::awaitable<std::size_t> StandardInput::read_some(MutableBytes block)
{
    return descriptor_->read_some(block);
}

StandardOutput::StandardOutput(const net::any_io_executor& executor, int descriptor)
    : descriptor_{std::make_unique<SharedDescriptor>(executor, descriptor,
                                                     SharedDescriptor::Direction::write)}
{
    ignore_broken_pipes();
}

StandardOutput::StandardOutput(StandardOutput&&) noexcept = default;
StandardOutput::~StandardOutput() = default;

net::awaitable<void> StandardOutput::write(Bytes block)
{
    return descriptor_->write(block);
}

void StandardOutput::close()
{
    descriptor_->close();
}

void open_missing_standard_streams()
{
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF)
            // The lowest free number is the one that is missing.
            [[maybe_unused]]
            const int opened = ::open("/dev/null", O_RDWR);
}

} // namespace narrowlink::io

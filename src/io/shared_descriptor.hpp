#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/io/asio.hpp"

#include <optional>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace narrowlink::io {

/// A descriptor that other processes have too, made usable for the event loop.
///
/// O_NONBLOCK belongs to the open file description, which is shared with whoever started us: a
/// shell's terminal would fail with EAGAIN after us. What can be done depends on its kind:
///
///   file, /dev/null    cannot be waited for and never blocks for long: read and written directly
///   pipe, terminal     opened once more through /proc, which gives a description of our own
///   socket, or if /proc fails   used as it is, and the flags are put back by the destructor
class SharedDescriptor {
public:
    enum class Direction { read, write };

    SharedDescriptor(const net::any_io_executor& executor, int descriptor, Direction direction);
    SharedDescriptor(const SharedDescriptor&) = delete;
    SharedDescriptor& operator=(const SharedDescriptor&) = delete;
    ~SharedDescriptor();

    net::awaitable<std::size_t> read_some(MutableBytes block);
    net::awaitable<void> write(Bytes block);
    void close();

private:
    void put_flags_back();

    net::any_io_executor executor_;
    int number_;
    bool is_socket_ = false;
    std::optional<int> flags_to_restore_;
    std::optional<net::posix::stream_descriptor> waitable_; ///< empty: direct
};

} // namespace narrowlink::io

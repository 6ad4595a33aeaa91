#pragma once

#include "narrowlink/base/buffer.hpp"
#include "narrowlink/io/asio.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/wire/relay_frame.hpp"

#include <thread>

#include <boost/asio/executor_work_guard.hpp>

namespace narrowlink::gateway {

/// One thread with its event loop, the sessions that live on it and their message blocks.
struct Worker {
    Worker() : guard{context.get_executor()}, sessions{context.get_executor(), [](const std::exception_ptr&) {}} {}

    net::io_context context{1};
    net::executor_work_guard<net::io_context::executor_type> guard;
    BufferPool messages{0, wire::max_relay_message + 64, 64};
    io::TaskScope sessions;
    std::thread thread; ///< none for the first worker, which runs on the caller's
};

} // namespace narrowlink::gateway

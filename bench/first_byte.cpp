#include "load.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <iostream>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace narrowlink::bench {

namespace {

struct Pipe {
    Pipe()
    {
        std::array<int, 2> ends{};
        if (pipe2(ends.data(), O_CLOEXEC) != 0)
            fail("pipe2 failed");
        read_end = Descriptor{ends[0]};
        write_end = Descriptor{ends[1]};
    }

    Descriptor read_end;
    Descriptor write_end;
};

pid_t spawn(const std::vector<std::string>& command, const Pipe& input, const Pipe& output)
{
    std::vector<char*> arguments; // posix_spawn does not write to them
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input.read_end.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDOUT_FILENO);
    pid_t child = 0;
    const int error =
        posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        throw std::system_error{error, std::generic_category(), "cannot start " + command[0]};
    return child;
}

void end(pid_t child)
{
    kill(child, SIGTERM);
    for (int i = 0; i < 200; ++i) {
        if (waitpid(child, nullptr, WNOHANG) == child)
            return;
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

} // namespace

void measure_first_byte(const std::vector<std::string>& command)
{
    if (command.empty())
        fail("a command is missing");
    Pipe input; // stays open: an end of input could make the command leave before its first byte
    Pipe output;

    const auto start = Clock::now();
    const pid_t child = spawn(command, input, output);
    output.write_end.close();
    pollfd entry{.fd = output.read_end.get(), .events = POLLIN, .revents = 0};
    const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    const bool ready = poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
    char byte = 0;
    const bool arrived = ready && read(output.read_end.get(), &byte, 1) == 1;
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;

    input.write_end.close();
    end(child);
    if (!arrived)
        fail(command[0] + " ended or waited too long without a byte");
    std::cout << "{\"milliseconds\": " << elapsed.count() << "}\n";
}

} // namespace narrowlink::bench

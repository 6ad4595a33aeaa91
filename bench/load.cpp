// The near end of every measurement.
//
//   bench_load throughput --to ADDR:PORT [--streams N] [--direction up|down] [--milliseconds N]
//   bench_load round-trip --to ADDR:PORT [--rounds N] [--warm-up N]
//   bench_load hold --to ADDR:PORT [--streams N]
//       opens N streams, prints "ready", holds them until standard input ends
//   bench_load greet --to ADDR:PORT
//       copies the target's first byte to standard output
//   bench_load first-byte COMMAND…
//
// All but the last also take --congestion NAME.

#include "load.hpp"

#include "dialogue.hpp"

#include <exception>
#include <iostream>
#include <string_view>
#include <unistd.h>

namespace narrowlink::bench {

Descriptor open_stream(const Load& load)
{
    Descriptor socket = connect_to(load.to, load.socket_options);
    std::byte first{};
    receive_all(socket, std::span{&first, 1});
    if (first != greeting)
        fail("the first byte is not the target's greeting");
    return socket;
}

namespace {

void wait_for_end_of_input()
{
    char ignored = 0;
    while (read(STDIN_FILENO, &ignored, 1) > 0) {
    }
}

// One byte goes there and back on each, so that both ends have done all that an open stream needs.
void hold(const Load& load)
{
    std::vector<Descriptor> streams;
    for (std::size_t i = 0; i < load.streams; ++i) {
        streams.push_back(open_stream(load));
        send_all(streams.back(), make_request(Operation::echo, {}));
        std::byte byte{1};
        send_all(streams.back(), std::span{&byte, 1});
        receive_all(streams.back(), std::span{&byte, 1});
    }
    std::cout << "ready" << std::endl;
    wait_for_end_of_input();
}

void greet(const Load& load)
{
    const Descriptor stream = open_stream(load);
    std::cout << 'g' << std::flush;
    wait_for_end_of_input();
}

Load parse_options(const std::vector<std::string>& arguments)
{
    Load load;
    for (std::size_t i = 0; i < arguments.size(); i += 2) {
        const std::string& name = arguments[i];
        if (i + 1 == arguments.size())
            fail(name + " needs a value");
        const std::string& value = arguments[i + 1];
        if (name == "--to")
            load.to = value;
        else if (name == "--congestion")
            load.socket_options.congestion = value;
        else if (name == "--streams")
            load.streams = std::stoul(value);
        else if (name == "--direction" && (value == "up" || value == "down"))
            load.direction = value == "up" ? Direction::up : Direction::down;
        else if (name == "--milliseconds")
            load.duration = std::chrono::milliseconds{std::stoul(value)};
        else if (name == "--rounds")
            load.rounds = std::stoul(value);
        else if (name == "--warm-up")
            load.warm_up_rounds = std::stoul(value);
        else
            fail("unknown option or value: " + name);
    }
    if (load.streams == 0 || load.rounds == 0)
        fail("a count is 0");
    return load;
}

void run(const std::string& mode, const std::vector<std::string>& arguments)
{
    if (mode == "first-byte")
        return measure_first_byte(arguments);
    const Load load = parse_options(arguments);
    if (mode == "throughput")
        return measure_throughput(load);
    if (mode == "round-trip")
        return measure_round_trip(load);
    if (mode == "hold")
        return hold(load);
    if (mode == "greet")
        return greet(load);
    fail("unknown mode " + mode);
}

} // namespace

} // namespace narrowlink::bench

int main(int argc, char** argv)
{
    using namespace narrowlink::bench;
    try {
        if (argc < 2)
            fail("a mode is missing: throughput, round-trip, hold, greet or first-byte");
        run(argv[1], {argv + 2, argv + argc});
    } catch (const std::exception& error) {
        std::cerr << "bench_load: " << error.what() << '\n';
        return 1;
    }
}

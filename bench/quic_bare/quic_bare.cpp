// Bare QUIC: ngtcp2 over UDP and nothing above it, the yardstick of direct paths.
//
//   quic_bare receive --local ADDR:PORT [--payload BYTES]
//       prints "listening ADDRESS:PORT", takes one connection, prints what it received, ends
//   quic_bare send --local ADDR:PORT --to ADDR:PORT [--payload BYTES] [--cc cubic|bbr]
//                  [--segment BYTES] [--milliseconds N]
//       one stream; the clock runs from its opening until every byte is acknowledged; congestion
//       control takes a full packet for that long (RFC 9002 knows only --payload), as it does in
//       the product, whose largest packets are those of another carrier
//
// Each prints one JSON object; CPU is that of the whole process.

#include "endpoint.hpp"

#include <exception>
#include <iostream>
#include <sys/resource.h>

namespace narrowlink::bench {

namespace {

struct Options {
    Endpoint::Options endpoint;
    std::string to;
    std::chrono::milliseconds duration{5'000};
};

ngtcp2_cc_algo parse_congestion(const std::string& name)
{
    if (name == "cubic")
        return NGTCP2_CC_ALGO_CUBIC;
    if (name == "bbr")
        return NGTCP2_CC_ALGO_BBR;
    fail("--cc is cubic or bbr");
}

Options parse_options(const std::vector<std::string>& arguments)
{
    Options options;
    for (std::size_t i = 0; i < arguments.size(); i += 2) {
        const std::string& name = arguments[i];
        if (i + 1 == arguments.size())
            fail(name + " needs a value");
        const std::string& value = arguments[i + 1];
        if (name == "--local")
            options.endpoint.local = value;
        else if (name == "--to")
            options.to = value;
        else if (name == "--payload")
            options.endpoint.payload = std::stoul(value);
        else if (name == "--cc")
            options.endpoint.congestion = parse_congestion(value);
        else if (name == "--segment")
            options.endpoint.segment = std::stoul(value);
        else if (name == "--milliseconds")
            options.duration = std::chrono::milliseconds{std::stoul(value)};
        else
            fail("unknown option " + name);
    }
    if (options.endpoint.payload < 1'200 || options.endpoint.payload > 65'507)
        fail("--payload is from 1200 to 65507 bytes");
    if (options.endpoint.segment > 65'507)
        fail("--segment is at most 65507 bytes");
    return options;
}

double cpu_seconds()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void receive(const Options& options)
{
    Endpoint endpoint{options.endpoint};
    std::cout << "listening " << endpoint.local() << std::endl;
    const std::uint64_t bytes = endpoint.receive_all();
    std::cout << "{\"bytes\": " << bytes << ", \"cpu_seconds\": " << cpu_seconds() << "}\n";
}

void send(const Options& options)
{
    Endpoint endpoint{options.endpoint, options.to};
    endpoint.open_stream();
    const auto begun = Clock::now();
    const std::uint64_t bytes = endpoint.send_for(options.duration);
    const std::chrono::duration<double> elapsed = Clock::now() - begun;
    endpoint.close();
    std::cout << "{\"bytes\": " << bytes << ", \"seconds\": " << elapsed.count()
              << ", \"gigabits_per_second\": "
              << static_cast<double>(bytes) * 8e-9 / elapsed.count()
              << ", \"cpu_seconds\": " << cpu_seconds() << "}\n";
}

} // namespace

} // namespace narrowlink::bench

int main(int argc, char** argv)
{
    using namespace narrowlink::bench;
    try {
        const std::string mode = argc < 2 ? "" : argv[1];
        if (mode != "receive" && mode != "send")
            fail("a mode is missing: receive or send");
        const Options options = parse_options({argv + 2, argv + argc});
        mode == "receive" ? receive(options) : send(options);
    } catch (const std::exception& error) {
        std::cerr << "quic_bare: " << error.what() << '\n';
        return 1;
    }
}

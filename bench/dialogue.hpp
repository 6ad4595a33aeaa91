#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace narrowlink::bench {

/// What the load program asks the target for, on each connection.
///
/// The target greets every connection with one byte, so that whoever connects through a tunnel
/// knows that the far end is reached and not only the tunnel's own listener. Then comes one
/// request:
///
/// - upload: the load program sends until it shuts down; the target answers with the count
/// received;
/// - download: the target sends for `milliseconds`, then the count of what it sent, then shuts
/// down;
/// - echo: every byte comes back.
enum class Operation : std::uint8_t { upload = 'u', download = 'd', echo = 'e' };

constexpr std::byte greeting{'g'};

using Count = std::array<std::byte, 8>; ///< big endian

inline Count encode(std::uint64_t count)
{
    Count bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>(count >> (56 - 8 * i));
    return bytes;
}

inline std::uint64_t decode(const Count& bytes)
{
    std::uint64_t count = 0;
    for (const std::byte byte : bytes)
        count = count << 8 | std::to_integer<std::uint64_t>(byte);
    return count;
}

using Request = std::array<std::byte, 9>; ///< operation, then milliseconds as a Count

inline Request make_request(Operation operation, std::chrono::milliseconds duration)
{
    Request request{};
    request[0] = static_cast<std::byte>(operation);
    const Count count = encode(static_cast<std::uint64_t>(duration.count()));
    for (std::size_t i = 0; i < count.size(); ++i)
        request[i + 1] = count[i];
    return request;
}

} // namespace narrowlink::bench

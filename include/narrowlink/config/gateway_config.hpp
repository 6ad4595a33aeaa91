#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/config/log_config.hpp"
#include "narrowlink/config/problem.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace narrowlink::config {

/// The gateway makes a certificate and keeps it in its state directory; join strings carry its pin.
struct SelfSigned {
    bool operator==(const SelfSigned&) const = default;
};

/// A certificate chain and its private key, in PEM.
struct CertificateFiles {
    Located<std::filesystem::path> certificate, key;

    bool operator==(const CertificateFiles&) const = default;
};

/// HTTPS and WebSocket over TLS.
struct WssService {
    Located<SocketAddress> listen;
    std::vector<std::string> domains; ///< names of this service; empty: any
    std::variant<SelfSigned, CertificateFiles> tls;

    bool operator==(const WssService&) const = default;
};

/// Plain HTTP and WebSocket, for use behind a proxy that does TLS.
struct WsService {
    Located<SocketAddress> listen;

    bool operator==(const WsService&) const = default;
};

using Service = std::variant<WssService, WsService>;

/// What strangers and users may take at most.
struct GatewayLimits {
    std::size_t connections = 16'384;                     ///< of all kinds, at once
    std::size_t unauthenticated = 1'024;                  ///< connections without a valid token yet
    std::size_t unauthenticated_per_address = 64;         ///< of one IPv4 address or IPv6 /64
    std::size_t connections_per_second_per_address = 100; ///< new ones; more are closed at once
    std::size_t sessions_per_user = 1'024;                ///< agents and clients of one user space
    std::size_t pairs_per_client = 64; ///< agents that one client talks to at once
    Duration queue_time =
        std::chrono::milliseconds{50};  ///< of packets for one peer, at the measured rate
    std::size_t queue_most = 4'194'304; ///< bytes of packets for one peer, at any rate
    Duration handshake_timeout = std::chrono::seconds{10}; ///< from TCP connect to a valid token
    std::size_t messages_per_second = 100;                 ///< control messages of one session

    bool operator==(const GatewayLimits&) const = default;
};

/// The probe service, which finds out about the nodes' NATs.
struct ProbeConfig {
    bool enabled = true;
    std::vector<std::uint16_t> further_ports{8'444, 8'445, 8'446}; ///< beside that of HTTPS
    std::vector<IpAddress> addresses; ///< as nodes reach it; empty: as they reach the web server

    bool operator==(const ProbeConfig&) const = default;
};

struct GatewayConfig {
    std::optional<Located<std::filesystem::path>> state;
    std::optional<Located<HostPort>> public_address; ///< `public`: what join strings name
    std::vector<Service> services;                   ///< empty: the program chooses
    std::optional<Located<std::filesystem::path>>
        secret;                            ///< `secret_path`: the key that signs tokens
    std::vector<IpPrefix> trusted_proxies; ///< whose X-Forwarded-For counts
    std::size_t threads = 0;               ///< event loops; 0: one per processor
    std::optional<Located<std::filesystem::path>>
        site; ///< the folder of the web site for strangers
    ProbeConfig probes;
    GatewayLimits limits;
    Duration resume_window = std::chrono::minutes{10}; ///< how long a pair waits for a lost side
    LogConfig log;

    bool operator==(const GatewayConfig&) const = default;
};

/// `file` is named in problems, and relative paths start at its folder. No file is opened.
Outcome<GatewayConfig> load_gateway_config(std::string_view text, std::string file);

/// Every key that a file may have, as `limits.queue_time` or `services.listen_addr`. For tests
/// that compare them with examples and documentation.
std::set<std::string> gateway_config_keys();

} // namespace narrowlink::config

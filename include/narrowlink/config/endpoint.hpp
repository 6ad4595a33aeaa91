#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/config/problem.hpp"

#include <optional>
#include <string>
#include <vector>

namespace narrowlink::config {

class Section;

/// One gateway that a node connects to: `!SelfHosted`.
struct Endpoint {
    enum class Protocol {
        wss, ///< WebSocket over TLS
        ws,  ///< plain, where a proxy in front of the gateway does TLS, or for tests
    };

    Located<HostPort> gateway;
    Located<std::string> token;
    std::optional<std::string> pin; ///< of a self-signed gateway certificate, base64url
    Protocol protocol = Protocol::wss;
    std::vector<Located<std::string>> policies; ///< policy tokens; clients only

    bool operator==(const Endpoint&) const = default;
};

enum class NodeKind { agent, client };

/// How a node finds its gateway: a join string, or the same as single keys. Both may be missing:
/// then the command line, or a join string saved before, must say it.
struct Membership {
    std::optional<Located<std::string>> join;
    std::vector<Endpoint> endpoints;

    bool operator==(const Membership&) const = default;
};

Membership read_membership(Section& root, NodeKind kind);

} // namespace narrowlink::config

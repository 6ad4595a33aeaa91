#pragma once

#include "narrowlink/access/join_string.hpp"
#include "narrowlink/access/token.hpp"
#include "narrowlink/access/token_store.hpp"
#include "narrowlink/base/random.hpp"
#include "narrowlink/config/gateway_config.hpp"
#include "narrowlink/crypto/identity.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::gateway {

/// What a gateway keeps on disk: the secret that signs tokens, its own certificate, the registry of
/// issued tokens, and how nodes reach it. Every file is written atomically, mode 0600.
///
///     secret              32 random bytes, unless the configuration names another file
///     gateway-cert.pem    self-signed, with gateway-key.pem
///     tokens.json         ids of issued tokens, and which are revoked; never a token itself
///     endpoint.json       what join strings say about the gateway
class State {
public:
    /// How nodes reach the gateway.
    struct Endpoint {
        std::string url; ///< `wss://host:port/`
        std::optional<crypto::Pin> pin;

        bool operator==(const Endpoint&) const = default;
    };

    /// Reads the state, and makes what is missing. Throws Failure. `random` must outlive it.
    State(std::filesystem::path directory, const config::GatewayConfig&, Random& random);

    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

    [[nodiscard]] const access::Secret& secret() const { return secret_; }

    [[nodiscard]] std::filesystem::path tokens_file() const;

    /// The self-signed certificate, made for `names` when there is none. Throws Failure.
    crypto::Identity certificate(const std::vector<std::string>& names);

    /// What the last run of the gateway has stored, if there was one. Throws Failure.
    [[nodiscard]] std::optional<Endpoint> endpoint() const;
    void store_endpoint(const Endpoint&);

    [[nodiscard]] bool has_issued_tokens() const;

    /// Signs the token and enters it into the registry. Throws Failure.
    std::string issue(const access::Token&);

    /// False when no such token was issued. Throws Failure.
    bool revoke(std::string_view id);
    [[nodiscard]] access::IssuedTokens tokens() const;

private:
    void change_tokens(const std::function<void(access::IssuedTokens&)>& change);

    std::filesystem::path directory_;
    Random* random_;
    access::Secret secret_;
};

} // namespace narrowlink::gateway

#pragma once

#include "narrowlink/access/token.hpp"
#include "narrowlink/access/token_store.hpp"
#include "narrowlink/control/message.hpp"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::gateway {

/// A node that has shown a good token.
struct Admission {
    control::Role role = control::Role::agent;
    access::Claims claims;
    std::vector<std::uint64_t> policies; ///< of a client: ids of the policies it must present
};

/// What policy tokens allow a client, and until when.
struct ClientPolicies {
    std::vector<access::Policy> policies;
    std::vector<std::string> token_ids;
    std::optional<UnixTime> expires;
};

/// Judges tokens by the gateway's secret and its list of revocations. Thread-safe.
class Authority {
public:
    explicit Authority(access::Secret secret, std::filesystem::path tokens_file);

    /// Errors: access::TokenError.
    [[nodiscard]] Result<Admission> admit(const std::string& bearer) const;

    /// Errors: access::TokenError.
    [[nodiscard]] Result<ClientPolicies> policies(const Admission&,
                                                  const std::vector<std::string>& tokens) const;

    /// Reads the registry again if its file has changed. Returns the ids revoked since the last time.
    /// An unreadable file changes nothing: a revocation must not be lost by a broken file.
    std::vector<std::string> reload();

private:
    [[nodiscard]] bool is_revoked(const std::string& id) const;

    access::Secret secret_;
    std::filesystem::path tokens_file_;
    std::filesystem::file_time_type seen_{}; ///< of the file; used by one thread only
    mutable std::mutex mutex_;
    std::shared_ptr<const access::IssuedTokens> issued_; ///< replaced whole, under mutex_
};

} // namespace narrowlink::gateway

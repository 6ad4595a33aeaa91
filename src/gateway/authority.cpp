#include "authority.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/log.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::gateway {
namespace {

constexpr std::size_t largest_registry = 64 * 1'024 * 1'024;

} // namespace

Authority::Authority(access::Secret secret, std::filesystem::path tokens_file)
    : secret_{std::move(secret)}
    , tokens_file_{std::move(tokens_file)}
    , issued_{std::make_shared<access::IssuedTokens>()}
{
    reload();
}

bool Authority::is_revoked(const std::string& id) const
{
    const std::lock_guard lock{mutex_};
    return issued_->is_revoked(id);
}

Result<Admission> Authority::admit(const std::string& bearer) const
{
    auto token = access::verify(bearer, secret_, io::unix_now());
    if (!token)
        return token.error();
    Admission admission;
    admission.claims = access::claims_of(*token);
    if (is_revoked(admission.claims.id))
        return make_error_code(access::TokenError::revoked);
    switch (access::kind_of(*token)) {
    case access::TokenKind::agent: admission.role = control::Role::agent; return admission;
    case access::TokenKind::client:
        admission.role = control::Role::client;
        admission.policies = std::get<access::ClientToken>(*token).policies;
        return admission;
    case access::TokenKind::policy: break;
    }
    return make_error_code(access::TokenError::wrong_kind);
}

Result<ClientPolicies> Authority::policies(const Admission& admission,
                                           const std::vector<std::string>& tokens) const
{
    std::vector<access::PolicyToken> presented;
    ClientPolicies result;
    for (const std::string& text : tokens) {
        auto token = access::verify(text, secret_, io::unix_now());
        if (!token)
            return token.error();
        auto* policy = std::get_if<access::PolicyToken>(&*token);
        if (policy == nullptr)
            return make_error_code(access::TokenError::wrong_kind);
        if (is_revoked(policy->claims.id))
            return make_error_code(access::TokenError::revoked);
        result.token_ids.push_back(policy->claims.id);
        result.expires = std::min(result.expires.value_or(policy->claims.expires),
                                  policy->claims.expires);
        presented.push_back(std::move(*policy));
    }
    const access::ClientToken client{admission.claims, admission.policies};
    auto effective = access::effective_policies(client, presented);
    if (!effective)
        return effective.error();
    result.policies = effective->policies();
    return result;
}

std::vector<std::string> Authority::reload()
{
    std::error_code missing;
    const auto changed = std::filesystem::last_write_time(tokens_file_, missing);
    if (missing || changed == seen_)
        return {};
    const auto text = io::read_file(tokens_file_, largest_registry);
    auto issued = text ? access::IssuedTokens::parse(*text)
                       : Result<access::IssuedTokens>{text.error()};
    if (!issued) {
        io::log_event(LogLevel::error, "tokens_unreadable", "file", tokens_file_.string(), "error",
                      issued.error());
        return {};
    }
    seen_ = changed;
    std::vector<std::string> revoked;
    const std::lock_guard lock{mutex_};
    for (const access::IssuedToken& token : issued->list())
        if (token.revoked && !issued_->is_revoked(token.id))
            revoked.push_back(token.id);
    issued_ = std::make_shared<const access::IssuedTokens>(std::move(*issued));
    return revoked;
}

} // namespace narrowlink::gateway

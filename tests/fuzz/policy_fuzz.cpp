// Two lines, the host of a target and an address that it resolves to; then the JSON of a policy.
// Checks what must hold for every policy and every spelling of a target.
#include "narrowlink/access/policy.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstdlib>

using namespace narrowlink;

namespace {

std::string_view take_line(std::string_view& text)
{
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
}

void require(bool holds)
{
    if (!holds)
        std::abort();
}

std::string in_upper_case(std::string_view text)
{
    std::string upper{text};
    std::ranges::transform(upper, upper.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return upper;
}

void check(const access::Policy& policy, std::string_view host, const IpAddress& address)
{
    const access::PolicySet set{{policy}};
    const access::PolicySet::Target target{
        .agent = "home", .host = host, .port = 22, .protocol = access::Protocol::tcp};
    const bool allowed = set.allows(target, address);
    require(!allowed || set.may_resolve(target));
    if (!set.may_resolve(target))
        return;

    const std::vector resolved{address};
    const auto left = set.allowed_addresses(target, resolved, {});
    require(left.size() == (allowed ? 1U : 0U));
    require(set.allowed_addresses(target, resolved, resolved).empty());
    for (const std::string& name : set.denied_names(target)) {
        require(policy.type == access::Policy::Type::black_list);
        require(access::matches_domain(name, name) && !access::matches_domain(name, host));
    }

    const std::string upper = in_upper_case(host);
    access::PolicySet::Target spelled = target;
    spelled.host = upper;
    require(set.allows(spelled, address) == allowed);

    // The opposite policy of the same rules never agrees with a white list's yes.
    access::Policy opposite = policy;
    opposite.type = access::Policy::Type::black_list;
    if (policy.type == access::Policy::Type::white_list && allowed)
        require(!access::PolicySet{{opposite}}.allows(target, address));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    const std::string_view host = take_line(text);
    const auto address = IpAddress::parse(take_line(text));

    boost::system::error_code ec;
    const auto json = boost::json::parse({text.data(), text.size()}, ec);
    if (ec)
        return 0;
    const auto policy = access::policy_from_json(json);
    if (!policy)
        return 0;
    require(access::policy_from_json(access::to_json(*policy)).value() == *policy);
    if (address)
        check(*policy, host, *address);
    return 0;
}

// What an agent answers, and why. The error types are those of RFC 9209 §2.3; the client turns
// them into sentences.
//
//   403  destination_ip_prohibited   a policy forbids it
//   502  dns_error                   no such name, or the resolver failed
//   504  dns_timeout                 no answer in time
//   502  connection_refused          nobody listens there
//   504  connection_timeout          no answer in time
//   502  destination_ip_unroutable   no route

#include "target.hpp"

#include "narrowlink/io/resolve.hpp"

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::agent {
namespace {

quic::Response refusal(unsigned status, std::string_view error)
{
    return {status, fmt::format("narrowlink; error={}", error)};
}

quic::Response refusal_for_lookup(const ErrorCode& error)
{
    return error == io::ResolveError::timed_out ? refusal(504, "dns_timeout")
                                                : refusal(502, "dns_error");
}

} // namespace

quic::Response refusal_for_dial(const ErrorCode& error)
{
    namespace errc = boost::system::errc;
    if (error == errc::connection_refused)
        return refusal(502, "connection_refused");
    if (error == errc::timed_out)
        return refusal(504, "connection_timeout");
    return refusal(502, "destination_ip_unroutable");
}

net::awaitable<Resolved> resolve_target(const quic::Request& request,
                                        const access::PolicySet& policies,
                                        const std::string& agent, Instant deadline)
{
    const access::PolicySet::Target target{
        .agent = agent,
        .host = request.target.host,
        .port = request.target.port,
        .protocol = request.kind == quic::Request::Kind::udp ? access::Protocol::udp
                                                             : access::Protocol::tcp};
    const quic::Response denied = refusal(403, "destination_ip_prohibited");
    if (!policies.may_resolve(target))
        co_return denied;

    std::vector<IpAddress> addresses;
    std::vector<IpAddress> denied_addresses;
    try {
        auto looking_up = io::resolve(request.target.host, deadline);
        addresses = co_await std::move(looking_up);
    } catch (const boost::system::system_error& error) {
        if (error.code() == net::error::operation_aborted)
            throw;
        co_return refusal_for_lookup(error.code());
    }
    for (const std::string& name : policies.denied_names(target)) {
        try {
            auto looking_up = io::resolve(name, deadline);
            const std::vector<IpAddress> more = co_await std::move(looking_up);
            denied_addresses.insert(denied_addresses.end(), more.begin(), more.end());
        } catch (const boost::system::system_error& error) {
            if (error.code() == net::error::operation_aborted)
                throw;
            if (error.code() != io::ResolveError::no_such_name)
                co_return denied; // who cannot be told apart from a forbidden host is one
        }
    }
    addresses = policies.allowed_addresses(target, addresses, denied_addresses);
    if (addresses.empty())
        co_return denied;
    co_return addresses;
}

} // namespace narrowlink::agent

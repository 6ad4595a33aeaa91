// Theory of operation
//
// Goal: an attacker can take no more than his share of places, and a refusal costs one accept(2)
// and one close(2).
//
// A place counts as unauthenticated until a token was accepted. Sources are remembered while they
// hold a place or have connected within the second; a sweep once a second forgets the others, so
// the table is bounded by the places and by one second's accepted connections.

#include "narrowlink/io/connection_limits.hpp"

#include <cassert>
#include <utility>

namespace narrowlink::io {
namespace {

constexpr Duration second = std::chrono::seconds{1};

IpPrefix source_of(const IpAddress& ip)
{
    if (ip.is_v4())
        return {ip, 32};
    constexpr std::size_t network_bytes = 8;
    auto bytes = ip.bytes();
    for (std::size_t i = network_bytes; i < bytes.size(); ++i)
        bytes[i] = {};
    return {IpAddress::v6(bytes), network_bytes * 8};
}

} // namespace

ConnectionLimits::Place::Place(std::shared_ptr<ConnectionLimits> limits,
                               std::optional<IpPrefix> source)
    : limits_{std::move(limits)}, source_{source}
{
}

ConnectionLimits::Place::~Place()
{
    const std::scoped_lock lock{limits_->mutex_};
    if (!authenticated_)
        limits_->no_longer_unauthenticated(source_);
    --limits_->counters_.connections;
}

void ConnectionLimits::Place::authenticate()
{
    const std::scoped_lock lock{limits_->mutex_};
    if (!authenticated_)
        limits_->no_longer_unauthenticated(source_);
    authenticated_ = true;
}

std::shared_ptr<ConnectionLimits::Place>
ConnectionLimits::admit(Instant now, const std::optional<IpAddress>& source)
{
    const std::scoped_lock lock{mutex_};
    if (now >= next_sweep_)
        forget_quiet_sources(now);
    if (counters_.connections >= quota_.connections ||
        counters_.unauthenticated >= quota_.unauthenticated) {
        ++counters_.refused_in_total;
        return nullptr;
    }
    std::optional<IpPrefix> prefix;
    if (source) {
        prefix = source_of(*source);
        Source& known = sources_[*prefix];
        if (now - known.second_began >= second)
            known = {known.unauthenticated, 0, now};
        if (known.unauthenticated >= quota_.unauthenticated_per_source ||
            known.in_this_second >= quota_.new_per_second_per_source) {
            ++counters_.refused_by_source;
            return nullptr;
        }
        ++known.unauthenticated;
        ++known.in_this_second;
    }
    ++counters_.connections;
    ++counters_.unauthenticated;
    ++counters_.admitted;
    return std::make_shared<Place>(shared_from_this(), prefix);
}

ConnectionLimits::Counters ConnectionLimits::counters() const
{
    const std::scoped_lock lock{mutex_};
    return counters_;
}

void ConnectionLimits::no_longer_unauthenticated(const std::optional<IpPrefix>& source)
{
    --counters_.unauthenticated;
    if (!source)
        return;
    const auto known = sources_.find(*source);
    assert(known != sources_.end() && known->second.unauthenticated > 0);
    --known->second.unauthenticated;
}

void ConnectionLimits::forget_quiet_sources(Instant now)
{
    next_sweep_ = now + second;
    std::erase_if(sources_, [now](const auto& entry) {
        return entry.second.unauthenticated == 0 && now - entry.second.second_began >= second;
    });
}

} // namespace narrowlink::io

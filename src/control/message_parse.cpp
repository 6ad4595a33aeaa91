// Theory of operation
//
// Goal: a value for every message that docs/protocol.md allows, an error for the rest, and bounded
// work and memory for both.
//
// Data flow: the size is checked first; Boost.JSON parses with a depth limit and refuses text that
// is not UTF-8; then Members reads each member once, remembers whether anything was wrong, and the
// answer is looked at once, at the end. Members that nobody reads are ignored, so that a later
// version can add some.
//
// Limits: max_message_size and max_json_depth bound the parser; max_… of message.hpp the members.

#include "narrowlink/control/error.hpp"
#include "words.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace narrowlink::control {
namespace {

namespace json = boost::json;

constexpr std::size_t max_json_depth = 8;
constexpr std::uint64_t max_integer = (std::uint64_t{1} << 53) - 1; // RFC 7493 §2.2

/// Reads the members of one JSON object; after the first wrong one ok() is false.
class Members {
public:
    explicit Members(const json::object& object) : object_{&object} {}

    [[nodiscard]] bool ok() const { return ok_; }

    std::uint64_t integer(std::string_view name, std::uint64_t most = max_integer)
    {
        const json::value* value = require(name);
        std::uint64_t integer = 0;
        if (value && value->is_int64() && value->get_int64() >= 0)
            integer = static_cast<std::uint64_t>(value->get_int64());
        else if (value && value->is_uint64())
            integer = value->get_uint64();
        else
            ok_ = false;
        ok_ = ok_ && integer <= most;
        return integer;
    }

    std::uint32_t u32(std::string_view name)
    {
        return static_cast<std::uint32_t>(integer(name, std::numeric_limits<std::uint32_t>::max()));
    }

    /// False when it is absent.
    bool flag(std::string_view name)
    {
        const json::value* value = object_->if_contains(name);
        if (!value)
            return false;
        ok_ = ok_ && value->is_bool();
        return value->is_bool() && value->get_bool();
    }

    /// Within limits that no honest peer exceeds.
    unsigned count(std::string_view name, std::size_t least, std::size_t most)
    {
        const std::uint64_t value = integer(name, most);
        ok_ = ok_ && value >= least;
        return static_cast<unsigned>(value);
    }

    unsigned optional_count(std::string_view name, unsigned absent, std::size_t most)
    {
        return has(name) ? count(name, 0, most) : absent;
    }

    /// Between -most and most, and not 0.
    int step(std::string_view name, int most)
    {
        const json::value* value = require(name);
        const std::int64_t step = value && value->is_int64() ? value->get_int64() : 0;
        ok_ = ok_ && step != 0 && step >= -most && step <= most;
        return ok_ ? static_cast<int>(step) : 1;
    }

    /// Fails if it is there but no object.
    const json::object* optional_object(std::string_view name)
    {
        const json::value* value = object_->if_contains(name);
        ok_ = ok_ && (!value || value->is_object());
        return value && value->is_object() ? &value->get_object() : nullptr;
    }

    [[nodiscard]] bool has(std::string_view name) const { return object_->contains(name); }

    Family family()
    {
        const std::uint64_t value = integer("family");
        ok_ = ok_ && (value == 4 || value == 6);
        return value == 6 ? Family::v6 : Family::v4;
    }

    std::string text(std::string_view name, std::size_t most) { return text(require(name), most); }

    /// As is_valid_name() wants it.
    std::string name(std::string_view name)
    {
        std::string value = text(name, max_name_size);
        ok_ = ok_ && is_valid_name(value);
        return value;
    }

    std::optional<std::string> optional_name(std::string_view member)
    {
        if (!object_->if_contains(member))
            return std::nullopt;
        return name(member);
    }

    /// Made fit to be shown rather than refused: it says why something else went wrong.
    std::string sentence(std::string_view name)
    {
        return readable_sentence(text(name, max_message_size));
    }

    struct ListLimits {
        std::size_t count;
        std::size_t size; ///< of one text
    };

    std::vector<std::string> texts(std::string_view name, ListLimits limits)
    {
        std::vector<std::string> values;
        for (const json::value& element : array(require(name), limits.count)) {
            values.push_back(text(&element, limits.size));
            ok_ = ok_ && !values.back().empty();
        }
        return values;
    }

    std::vector<std::string> optional_texts(std::string_view name, ListLimits limits)
    {
        if (!object_->if_contains(name))
            return {};
        return texts(name, limits);
    }

    const json::array& array(std::string_view name, std::size_t most)
    {
        return array(require(name), most);
    }

    template <class Address>
    std::vector<Address> addresses(std::string_view name, std::size_t most)
    {
        std::vector<Address> values;
        for (const json::value& element : array(name, most))
            values.push_back(read<Address>(&element));
        return values;
    }

    template <class Address>
    std::vector<Address> optional_addresses(std::string_view name, std::size_t most)
    {
        if (!object_->if_contains(name))
            return {};
        return addresses<Address>(name, most);
    }

    std::vector<std::uint16_t> ports(std::string_view name, std::size_t most)
    {
        std::vector<std::uint16_t> values;
        for (const json::value& element : array(name, most)) {
            const bool is_port = element.is_int64() && element.get_int64() > 0 &&
                                 element.get_int64() <= std::numeric_limits<std::uint16_t>::max();
            values.push_back(is_port ? static_cast<std::uint16_t>(element.get_int64()) : 0);
            ok_ = ok_ && is_port;
        }
        return values;
    }

    nat::ProbeCredentials channel()
    {
        nat::ProbeCredentials credentials;
        const std::string id = text("probe_id", 2 * credentials.id.size());
        const auto key = from_base64url(text("probe_key", 64));
        if (!wire::parse_hex(id, credentials.id) || !key || key->size() != credentials.key.size())
            ok_ = false;
        else
            std::ranges::copy(*key, credentials.key.begin());
        return credentials;
    }

    template <class Id>
    Id id(std::string_view name)
    {
        return read<Id>(require(name));
    }

    std::optional<crypto::Pin> optional_pin(std::string_view name)
    {
        const json::value* value = object_->if_contains(name);
        if (!value)
            return std::nullopt;
        return read<crypto::Pin>(value);
    }

    void fail() { ok_ = false; }

private:
    const json::value* require(std::string_view name)
    {
        const json::value* value = object_->if_contains(name);
        ok_ = ok_ && value;
        return value;
    }

    std::string text(const json::value* value, std::size_t most)
    {
        if (!value || !value->is_string() || value->get_string().size() > most) {
            ok_ = false;
            return {};
        }
        return {value->get_string().data(), value->get_string().size()};
    }

    const json::array& array(const json::value* value, std::size_t most)
    {
        static const json::array nothing;
        if (!value || !value->is_array() || value->get_array().size() > most) {
            ok_ = false;
            return nothing;
        }
        return value->get_array();
    }

    /// A pin or an id, by its text form.
    template <class Value>
    Value read(const json::value* value)
    {
        constexpr std::size_t longest_text_form = 64;
        const auto parsed = Value::parse(text(value, longest_text_form));
        ok_ = ok_ && parsed;
        return parsed.value_or(Value{});
    }

    const json::object* object_;
    bool ok_ = true;
};

constexpr Members::ListLimits feature_limits{max_features, max_name_size};
constexpr Members::ListLimits policy_limits{max_policies, access::max_jws_size};

Hello parse_hello(Members& in)
{
    Hello m;
    m.version_min = in.u32("version_min");
    m.version_max = in.u32("version_max");
    m.features = in.optional_texts("features", feature_limits);
    m.key = in.id<crypto::Pin>("key");
    m.instance = in.id<InstanceId>("instance");
    m.software = in.name("software");
    m.policies = in.optional_texts("policies", policy_limits);
    if (m.version_min > m.version_max)
        in.fail();
    return m;
}

Welcome parse_welcome(Members& in)
{
    Welcome m;
    m.version = in.u32("version");
    m.features = in.optional_texts("features", feature_limits);
    m.session = in.name("session");
    m.name = in.name("name");
    m.user = in.name("user");
    return m;
}

Agents parse_agents(Members& in)
{
    Agents m;
    m.id = in.integer("id");
    for (const json::value& element : in.array("agents", max_agents_per_message)) {
        if (!element.is_object()) {
            in.fail();
            break;
        }
        Members members{element.get_object()};
        Agent agent;
        agent.name = members.name("name");
        agent.instance = members.id<InstanceId>("instance");
        agent.key = members.id<crypto::Pin>("key");
        agent.software = members.name("software");
        agent.connected_seconds = members.integer("connected_seconds");
        agent.address = members.optional_name("address");
        if (members.has("nat"))
            agent.nat = members.sentence("nat");
        if (members.has("port_mapping"))
            agent.port_mapping = members.sentence("port_mapping");
        if (!members.ok())
            in.fail();
        m.agents.push_back(std::move(agent));
    }
    m.more = in.flag("more");
    return m;
}

Introduce parse_introduce(Members& in)
{
    Introduce m;
    m.id = in.integer("id");
    m.agent = in.name("agent");
    m.pair = in.id<wire::PairId>("pair");
    m.resume = in.flag("resume");
    return m;
}

Introduced parse_introduced(Members& in)
{
    Introduced m;
    m.pair = in.id<wire::PairId>("pair");
    m.handle = wire::PairHandle{in.u32("handle")};
    m.agent = in.name("agent");
    m.key = in.id<crypto::Pin>("key");
    m.instance = in.id<InstanceId>("instance");
    return m;
}

Introduction parse_introduction(Members& in)
{
    Introduction m;
    m.pair = in.id<wire::PairId>("pair");
    m.handle = wire::PairHandle{in.u32("handle")};
    m.client = in.name("client");
    m.user = in.name("user");
    m.key = in.id<crypto::Pin>("key");
    m.instance = in.id<InstanceId>("instance");
    // Required, unlike other lists: no policy means that everything is allowed, and a member that
    // got lost must not mean that.
    for (const json::value& element : in.array("policies", max_policies)) {
        Result<access::Policy> policy = access::policy_from_json(element);
        if (!policy) {
            in.fail();
            break;
        }
        m.policies.push_back(std::move(*policy));
    }
    return m;
}

Refused parse_refused(Members& in)
{
    Refused m;
    m.id = in.integer("id");
    m.reason = parse_refusal_reason(in.name("reason"));
    m.message = in.sentence("message");
    return m;
}

Observe parse_observe(Members& in)
{
    Observe m;
    m.channel = in.channel();
    m.ports = in.ports("ports", max_probe_ports);
    m.addresses = in.optional_addresses<IpAddress>("addresses", max_candidates);
    return m;
}

Candidates parse_candidates(Members& in)
{
    Candidates m;
    m.addresses = in.addresses<SocketAddress>("addresses", max_candidates);
    if (const json::object* mapped = in.optional_object("mapped")) {
        Members members{*mapped};
        const auto external = SocketAddress::parse(members.text("address", max_name_size));
        m.mapped = {external.value_or(SocketAddress{}), members.name("protocol")};
        if (!members.ok() || !external)
            in.fail();
    }
    return m;
}

SurveyRequest parse_survey(Members& in)
{
    SurveyRequest m;
    m.family = in.family();
    const auto purpose = nat::parse_purpose(in.name("purpose"));
    if (!purpose)
        in.fail();
    else
        m.step.purpose = *purpose;
    m.step.first_socket = in.count("first_socket", 0, max_survey_sockets - 1);
    m.step.sockets = in.count("sockets", 1, max_survey_sockets - m.step.first_socket);
    for (const json::value& element : in.array("to", max_survey_targets)) {
        const bool is_place =
            element.is_int64() && element.get_int64() >= 0 && element.get_int64() < 16;
        const auto place = is_place ? static_cast<unsigned>(element.get_int64()) : 0;
        m.step.to.push_back({.address = place / 8, .port = place % 8});
        if (!is_place)
            in.fail();
    }
    m.step.rounds = in.count("rounds", 1, max_survey_rounds);
    return m;
}

Filtered parse_filtered(Members& in)
{
    Filtered m;
    m.family = in.family();
    m.report.answered = in.flag("answered");
    m.report.from_port = in.flag("from_port");
    m.report.from_address = in.flag("from_address");
    return m;
}

MappingAlive parse_mapping_alive(Members& in)
{
    MappingAlive m;
    m.family = in.family();
    m.socket = in.count("socket", 0, max_survey_sockets - 1);
    return m;
}

/// Words that are not known mean that it is not known.
nat::Behaviour parse_behaviour(Members& in)
{
    nat::Behaviour behaviour{
        .reach = nat::parse_reach(in.name("reach")).value_or(nat::Reach::unknown),
        .mapping = nat::parse_mapping(in.name("mapping")).value_or(nat::Mapping::unknown),
        .filtering = nat::parse_filtering(in.name("filtering")).value_or(nat::Filtering::unknown),
        .allocation =
            nat::parse_allocation(in.name("allocation")).value_or(nat::Allocation::unknown)};
    if (behaviour.allocation == nat::Allocation::sequential)
        behaviour.delta = 1; // it has one, never 0
    constexpr std::size_t most_seconds = 86'400;
    behaviour.lifetime = {
        .alive_after = std::chrono::seconds{in.optional_count("alive_after_s", 0, most_seconds)},
        .gone_after = std::chrono::seconds{in.optional_count("gone_after_s", 0, most_seconds)}};
    return behaviour;
}

NatDescription parse_nat(Members& in)
{
    NatDescription m;
    m.family = in.family();
    m.text = in.sentence("description");
    if (const json::object* behaviour = in.optional_object("behaviour")) {
        Members members{*behaviour};
        m.behaviour = parse_behaviour(members);
        if (!members.ok())
            in.fail();
    }
    return m;
}

nat::Spray parse_spray(Members& in)
{
    constexpr std::size_t most_ports = std::numeric_limits<std::uint16_t>::max();
    constexpr int largest_step = 1'024;
    nat::Spray spray;
    spray.addresses = in.addresses<IpAddress>("addresses", nat::most_pool_addresses);
    spray.first = static_cast<std::uint16_t>(in.count("first", 1, most_ports));
    spray.count = in.count("count", 1, most_ports);
    spray.step = in.step("step", largest_step);
    const std::string order = in.name("order");
    if (order == spray_order(nat::Spray::Order::random))
        spray.order = nat::Spray::Order::random;
    else if (order != spray_order(nat::Spray::Order::sequential))
        in.fail();
    return spray;
}

template <class Targets>
void parse_targets(Members& in, Targets& m)
{
    m.attempt = in.u32("attempt");
    m.fire_in_ms = in.u32("fire_in_ms");
    for (const json::value& element : in.array("candidates", max_candidates)) {
        if (!element.is_object()) {
            in.fail();
            break;
        }
        Members members{element.get_object()};
        const auto address = SocketAddress::parse(members.text("address", max_name_size));
        const auto kind = nat::parse_candidate_kind(members.text("kind", max_name_size));
        if (!members.ok() || !address)
            in.fail();
        else if (kind) // a later version may know more kinds
            m.candidates.push_back({*address, *kind});
    }
    if (const json::object* spray = in.optional_object("spray")) {
        Members members{*spray};
        m.spray = parse_spray(members);
        if (!members.ok())
            in.fail();
    }
}

Punch parse_punch(Members& in)
{
    constexpr std::size_t largest_ttl = std::numeric_limits<std::uint8_t>::max();
    Punch m;
    m.pair = in.id<wire::PairId>("pair");
    m.client_key = in.optional_pin("client_key");
    m.channel = in.channel();
    parse_targets(in, m);
    m.sockets = std::max(in.optional_count("sockets", m.sockets, max_punch_sockets), 1U);
    m.fresh = in.flag("fresh");
    if (in.has("family"))
        m.family = in.family();
    m.sample = in.flag("sample");
    m.wait = in.flag("wait");
    m.first_ttl =
        static_cast<std::uint8_t>(in.optional_count("first_ttl", m.first_ttl, largest_ttl));
    m.retry_ttl =
        static_cast<std::uint8_t>(in.optional_count("retry_ttl", m.retry_ttl, largest_ttl));
    m.retry_after_ms = in.optional_count("retry_after_ms", m.retry_after_ms, max_punch_time_ms);
    m.packets = in.optional_count("packets", m.packets, nat::most_packets);
    m.time_ms = in.optional_count("time_ms", m.time_ms, max_punch_time_ms);
    return m;
}

Aim parse_aim(Members& in)
{
    Aim m;
    m.pair = in.id<wire::PairId>("pair");
    m.client_key = in.optional_pin("client_key");
    parse_targets(in, m);
    return m;
}

Punched parse_punched(Members& in)
{
    Punched m;
    m.pair = in.id<wire::PairId>("pair");
    m.attempt = in.u32("attempt");
    m.opened = in.flag("opened");
    return m;
}

Unreachable parse_unreachable(Members& in)
{
    Unreachable m;
    m.pair = in.id<wire::PairId>("pair");
    m.message = in.sentence("message");
    return m;
}

Closing parse_closing(Members& in)
{
    Closing m;
    m.reason = parse_closing_reason(in.name("reason"));
    m.message = in.sentence("message");
    return m;
}

template <class PairMessage>
PairMessage parse_pair_message(Members& in)
{
    PairMessage m;
    m.pair = in.id<wire::PairId>("pair");
    m.client_key = in.optional_pin("client_key");
    return m;
}

Message parse_members(const std::string& type, Members& in)
{
    if (type == "hello")
        return parse_hello(in);
    if (type == "welcome")
        return parse_welcome(in);
    if (type == "ping")
        return Ping{in.integer("id")};
    if (type == "pong")
        return Pong{in.integer("id")};
    if (type == "list")
        return List{in.integer("id")};
    if (type == "agents")
        return parse_agents(in);
    if (type == "introduce")
        return parse_introduce(in);
    if (type == "introduced")
        return parse_introduced(in);
    if (type == "introduction")
        return parse_introduction(in);
    if (type == "refused")
        return parse_refused(in);
    if (type == "interrupted")
        return parse_pair_message<Interrupted>(in);
    if (type == "release")
        return parse_pair_message<Release>(in);
    if (type == "released")
        return parse_pair_message<Released>(in);
    if (type == "observe")
        return parse_observe(in);
    if (type == "candidates")
        return parse_candidates(in);
    if (type == "survey")
        return parse_survey(in);
    if (type == "filtered")
        return parse_filtered(in);
    if (type == "mapping_alive")
        return parse_mapping_alive(in);
    if (type == "nat")
        return parse_nat(in);
    if (type == "meet")
        return Meet{in.id<wire::PairId>("pair")};
    if (type == "punch")
        return parse_punch(in);
    if (type == "aim")
        return parse_aim(in);
    if (type == "punched")
        return parse_punched(in);
    if (type == "unreachable")
        return parse_unreachable(in);
    if (type == "udp_relay")
        return parse_pair_message<UdpRelay>(in);
    if (type == "closing")
        return parse_closing(in);
    return Unknown{type};
}

} // namespace

Result<Message> parse(std::string_view text)
{
    if (text.size() > max_message_size)
        return make_error_code(Error::message_too_large);

    json::parse_options options;
    options.max_depth = max_json_depth;
    json::monotonic_resource memory;
    ErrorCode ec;
    const json::value value = json::parse({text.data(), text.size()}, ec, &memory, options);
    if (ec || !value.is_object() || !value.get_object().contains("type"))
        return make_error_code(Error::malformed_message);

    Members in{value.get_object()};
    const std::string type = in.name("type");
    if (!in.ok())
        return make_error_code(Error::malformed_message);
    Message message = parse_members(type, in);
    if (!in.ok())
        return make_error_code(Error::wrong_member);
    return message;
}

} // namespace narrowlink::control

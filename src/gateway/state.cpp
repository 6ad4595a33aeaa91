#include "narrowlink/gateway/state.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/files.hpp"

#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

constexpr std::size_t largest_file = 64 * 1'024 * 1'024;

Failure unusable(const std::filesystem::path& file, const std::string& reason)
{
    return {ExitCode::configuration, fmt::format("cannot use {}: {}", file.string(), reason)};
}

bool is_missing(const ErrorCode& error)
{
    return error == boost::system::errc::no_such_file_or_directory;
}

void write(const std::filesystem::path& file, Bytes content)
{
    if (const auto written = io::write_file_atomically(file, content); !written)
        throw unusable(file, written.error().message());
}

access::Secret read_secret(const std::filesystem::path& file, const std::string& where,
                           Random* make_with)
{
    constexpr std::size_t longest = 4'096;
    auto text = io::read_file(file, longest);
    if (!text && is_missing(text.error()) && make_with != nullptr) {
        const auto secret = make_with->array<access::least_secret_size>();
        write(file, secret);
        return {secret.begin(), secret.end()};
    }
    if (!text)
        throw Failure{ExitCode::configuration, fmt::format("{}cannot read {}: {}", where,
                                                           file.string(), text.error().message())};
    if (make_with == nullptr)
        while (!text->empty() && (text->back() == '\n' || text->back() == '\r'))
            text->pop_back(); // a file that a person wrote ends with a line break
    if (text->size() < access::least_secret_size)
        throw Failure{ExitCode::configuration,
                      fmt::format("{}the secret in {} is too short: expected at least {} bytes",
                                  where, file.string(), access::least_secret_size)};
    const Bytes bytes = as_bytes(*text);
    return {bytes.begin(), bytes.end()};
}

} // namespace

State::State(std::filesystem::path directory, const config::GatewayConfig& config, Random& random)
    : directory_{std::move(directory)}
    , random_{&random}
{
    const auto lock = io::FileLock::take(directory_ / "state.lock");
    if (!lock)
        throw unusable(directory_ / "state.lock", lock.error().message());
    secret_ = config.secret ? read_secret(config.secret->value, config.secret->where + ": ", nullptr)
                            : read_secret(directory_ / "secret", "", random_);
}

std::filesystem::path State::tokens_file() const
{
    return directory_ / "tokens.json";
}

crypto::Identity State::certificate(const std::vector<std::string>& names)
{
    const std::filesystem::path key_file = directory_ / "gateway-key.pem";
    const std::filesystem::path certificate_file = directory_ / "gateway-cert.pem";
    const auto key = io::read_file(key_file, largest_file);
    const auto chain = io::read_file(certificate_file, largest_file);
    if (key && chain) {
        auto identity = crypto::Identity::parse(*key, *chain);
        if (!identity)
            throw unusable(key_file, identity.error().message());
        return std::move(*identity);
    }
    if (!key && !is_missing(key.error()))
        throw unusable(key_file, key.error().message());
    auto identity = crypto::Identity::make_p256(names, io::unix_now(), *random_);
    if (!identity)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot make a certificate for {}: {}", fmt::join(names, ", "),
                                  identity.error().message())};
    write(certificate_file, as_bytes(identity->certificate_pem));
    write(key_file, as_bytes(identity->private_key_pem));
    return std::move(*identity);
}

std::optional<State::Endpoint> State::endpoint() const
{
    const std::filesystem::path file = directory_ / "endpoint.json";
    const auto text = io::read_file(file, largest_file);
    if (!text && is_missing(text.error()))
        return std::nullopt;
    if (!text)
        throw unusable(file, text.error().message());
    boost::system::error_code malformed;
    const boost::json::value value = boost::json::parse(*text, malformed);
    const auto* object = malformed ? nullptr : value.if_object();
    const auto* url = object == nullptr ? nullptr : object->if_contains("gateway");
    const auto damaged = [&] {
        return unusable(file, "it is damaged; remove it and start the gateway once");
    };
    if (url == nullptr || !url->is_string())
        throw damaged();
    Endpoint endpoint{std::string{url->as_string()}, std::nullopt};
    if (const auto* pin = object->if_contains("pin")) {
        if (pin->is_string())
            endpoint.pin = crypto::Pin::parse(std::string_view{pin->as_string()});
        if (!endpoint.pin)
            throw damaged(); // without it nodes would trust any authority instead
    }
    return endpoint;
}

void State::store_endpoint(const Endpoint& endpoint)
{
    boost::json::object object{{"gateway", endpoint.url}};
    if (endpoint.pin)
        object.emplace("pin", to_string(*endpoint.pin));
    write(directory_ / "endpoint.json", as_bytes(boost::json::serialize(object)));
}

bool State::has_issued_tokens() const
{
    return std::filesystem::exists(tokens_file());
}

access::IssuedTokens State::tokens() const
{
    const auto text = io::read_file(tokens_file(), largest_file);
    if (!text && is_missing(text.error()))
        return {};
    if (!text)
        throw unusable(tokens_file(), text.error().message());
    auto tokens = access::IssuedTokens::parse(*text);
    if (!tokens)
        throw unusable(tokens_file(), tokens.error().message());
    return std::move(*tokens);
}

void State::change_tokens(const std::function<void(access::IssuedTokens&)>& change)
{
    const std::filesystem::path lock_file = directory_ / "tokens.lock";
    const auto lock = io::FileLock::take(lock_file);
    if (!lock)
        throw unusable(lock_file, lock.error().message());
    access::IssuedTokens current = tokens();
    change(current);
    current.remove_expired(io::unix_now());
    write(tokens_file(), as_bytes(current.format()));
}

std::string State::issue(const access::Token& token)
{
    change_tokens([&](access::IssuedTokens& tokens) { tokens.add(token, io::unix_now()); });
    return access::sign(token, secret_);
}

bool State::revoke(std::string_view id)
{
    bool known = false;
    change_tokens([&](access::IssuedTokens& tokens) { known = tokens.revoke(id); });
    return known;
}

} // namespace narrowlink::gateway

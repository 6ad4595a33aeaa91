#include "listeners.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/gateway/run.hpp"

#include "../io/temporary_directory.hpp"
#include "../program/ending.hpp"
#include "support/seeded_random.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrowlink::gateway {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* with_files = "services:\n"
                                   "  - !Ws\n"
                                   "    listen_addr: 127.0.0.1:8080\n"
                                   "  - !Wss\n"
                                   "    listen_addr: 127.0.0.1:8443\n"
                                   "    tls_config: !File\n"
                                   "      cert_path: chain.pem\n"
                                   "      key_path: key.pem\n";

struct Listeners : testing::Test {
    [[nodiscard]] config::GatewayConfig load(std::string_view text) const
    {
        const auto outcome =
            config::load_gateway_config(text, (directory.path() / "gateway.yaml").string());
        return std::get<config::GatewayConfig>(outcome);
    }

    std::vector<io::WebListener> make(std::string_view text)
    {
        return make_listeners(load(text).services, state, "gateway.example");
    }

    void put_identity(const crypto::Identity& key, const crypto::Identity& certificate) const
    {
        directory.put("key.pem", key.private_key_pem);
        directory.put("chain.pem", certificate.certificate_pem);
    }

    crypto::Identity make_identity()
    {
        return *crypto::Identity::make_p256({"gateway.example"},
                                            UnixTime{std::chrono::seconds{1'800'000'000}}, random);
    }

    [[nodiscard]] std::string place(const char* position) const
    {
        return (directory.path() / "gateway.yaml").string() + position;
    }

    test::TemporaryDirectory directory;
    SeededRandom random{1};
    State state{directory.path(), {}, random};
};

TEST_F(Listeners, TakeCertificateAndKeyFromTheirFiles)
{
    const crypto::Identity identity = make_identity();
    put_identity(identity, identity);
    const auto listeners = make(with_files);
    ASSERT_EQ(listeners.size(), 2U);
    EXPECT_EQ(to_string(listeners[0].address), "127.0.0.1:8080");
    EXPECT_FALSE(listeners[0].certificate);
    EXPECT_EQ(to_string(listeners[1].address), "127.0.0.1:8443");
    ASSERT_TRUE(listeners[1].certificate);
    EXPECT_EQ(listeners[1].certificate->chain, identity.certificate_pem);
    EXPECT_EQ(listeners[1].certificate->private_key, identity.private_key_pem);
}

TEST_F(Listeners, MakeACertificateOfTheirOwn)
{
    const auto listeners = make("listen: 127.0.0.1:8443");
    ASSERT_EQ(listeners.size(), 1U);
    EXPECT_EQ(listeners[0].certificate->chain, directory.get("gateway-cert.pem"));
}

TEST_F(Listeners, SayWhereAMissingFileIsNamed)
{
    const auto both = test::ending_of([&] { make(with_files); });
    EXPECT_EQ(both.code, ExitCode::configuration);
    EXPECT_THAT(both.sentence,
                StartsWith(place(":7:18: services[1].tls_config.cert_path: cannot read ")));
    EXPECT_THAT(both.sentence, HasSubstr((directory.path() / "chain.pem").string()));

    directory.put("chain.pem", make_identity().certificate_pem);
    const auto key = test::ending_of([&] { make(with_files); });
    EXPECT_EQ(key.code, ExitCode::configuration);
    EXPECT_THAT(key.sentence,
                StartsWith(place(":8:17: services[1].tls_config.key_path: cannot read ")));
}

TEST_F(Listeners, RefuseFilesThatDoNotBelongTogether)
{
    put_identity(make_identity(), make_identity());
    const auto foreign = test::ending_of([&] { make(with_files); });
    EXPECT_EQ(foreign.code, ExitCode::configuration);
    EXPECT_THAT(foreign.sentence, StartsWith(place(":7:18: services[1].tls_config.cert_path: ")));

    directory.put("chain.pem", "nothing of use");
    EXPECT_EQ(test::ending_of([&] { make(with_files); }).code, ExitCode::configuration);
}

TEST_F(Listeners, TheEndpointNamesThePublicAddress)
{
    const config::GatewayConfig config = load("public: configured.example:443");
    EXPECT_EQ(endpoint_of(config, std::nullopt, 8443, state).url, "wss://configured.example:443/");
    EXPECT_EQ(endpoint_of(config, HostPort{"typed.example", 444}, 8443, state).url,
              "wss://typed.example:444/");
    EXPECT_EQ(endpoint_of(load("public: \"[2001:db8::1]:443\""), std::nullopt, 8443, state).url,
              "wss://[2001:db8::1]:443/");
    const State::Endpoint guessed = endpoint_of({}, std::nullopt, 8443, state);
    EXPECT_EQ(guessed.url, "wss://" + to_string(SocketAddress{outbound_address(), 8443}) + "/");
}

TEST_F(Listeners, OnlyASelfSignedCertificateIsPinned)
{
    const auto pin_of = [&](std::string_view text) {
        return endpoint_of(load(text), std::nullopt, 443, state).pin;
    };
    const auto own = state.certificate({"x"}).pin;
    EXPECT_EQ(pin_of(""), own) << "without services the program makes a self-signed one";
    EXPECT_EQ(pin_of("listen: 127.0.0.1:8443"), own);
    EXPECT_EQ(pin_of(with_files), std::nullopt);
    EXPECT_EQ(pin_of("listen_plain: 127.0.0.1:8080"), std::nullopt)
        << "a proxy in front has its own";
}

TEST_F(Listeners, JoinStringsNameWhatTheLastRunHasStored)
{
    const State::Endpoint stored{"wss://stored.example:444/", std::nullopt};
    state.store_endpoint(stored);
    const KnownEndpoint known = current_endpoint(state, load("listen: 127.0.0.1:8443"), std::nullopt);
    EXPECT_EQ(known.endpoint, stored);
    EXPECT_FALSE(known.is_guess);
}

TEST_F(Listeners, JoinStringsBeforeTheFirstRunNameWhatItWouldDo)
{
    const KnownEndpoint configured =
        current_endpoint(state, load("listen: 127.0.0.1:9443"), std::nullopt);
    EXPECT_THAT(configured.endpoint.url, testing::EndsWith(":9443/"));
    EXPECT_TRUE(configured.is_guess);

    const KnownEndpoint none = current_endpoint(state, {}, std::nullopt);
    EXPECT_THAT(none.endpoint.url,
                testing::EndsWith(fmt::format(":{}/", default_address().port)));
    EXPECT_TRUE(none.is_guess);
}

TEST_F(Listeners, JoinStringsNameThePublicAddressAskedFor)
{
    const HostPort lan{"gateway.lan", 444};
    const KnownEndpoint first = current_endpoint(state, {}, lan);
    EXPECT_EQ(first.endpoint.url, "wss://gateway.lan:444/");
    EXPECT_FALSE(first.is_guess);

    state.store_endpoint({"wss://stored.example:443/", std::nullopt});
    const KnownEndpoint second = current_endpoint(state, {}, lan);
    EXPECT_EQ(second.endpoint.url, "wss://gateway.lan:444/");
    EXPECT_EQ(second.endpoint.pin, std::nullopt) << "the certificate stays the one in use";
}

TEST_F(Listeners, AnAddressThatIsNotOursEndsTheGateway)
{
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    const RunCommand command{.listen = SocketAddress{*IpAddress::parse("192.0.2.1"), 443},
                             .public_address = HostPort{"gateway.example", 443}};
    const auto ending = test::ending_of([&] { run(command, {}, state, random); });
    EXPECT_EQ(ending.code, ExitCode::address_in_use);
    EXPECT_THAT(ending.sentence, HasSubstr("192.0.2.1:443"));
}

TEST_F(Listeners, ADamagedRegistryOfTokensKeepsTheGatewayFromStarting)
{
    // It would start without a single revocation.
    directory.put("tokens.json", "{\"version\":1,\"tok");
    const RunCommand command{.listen = SocketAddress{*IpAddress::parse("192.0.2.1"), 443},
                             .public_address = HostPort{"gateway.example", 443}};
    const auto ending = test::ending_of([&] { run(command, {}, state, random); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr("tokens.json"));
}

} // namespace
} // namespace narrowlink::gateway

#include "two_ends.hpp"

#include <gtest/gtest.h>

namespace narrowlink::quic::test {
namespace {

const UnixTime birth{std::chrono::seconds{1'000'000'000}};

} // namespace

TEST(Credentials, WhatIsNoPemIsRefused)
{
    SeededRandom random{1};
    const crypto::Identity good = *crypto::Identity::make_ed25519(birth, random);
    for (const std::string text : {"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
        crypto::Identity identity = good;
        identity.certificate_pem = text;
        EXPECT_EQ(Credentials::load(identity).error(), Error::bad_credentials) << text;
        identity = good;
        identity.private_key_pem = text;
        EXPECT_EQ(Credentials::load(identity).error(), Error::bad_credentials) << text;
    }
}

TEST(Credentials, APeerMayHaveAnotherKindOfKeyAndAChain)
{
    TwoEnds ends;
    crypto::Identity identity = *crypto::Identity::make_p256({}, birth, ends.random);
    identity.certificate_pem += ends.client_identity.certificate_pem;
    ends.server = Connection::server({}, {*Credentials::load(identity), ends.client_identity.pin}, ends.now, ends.random);
    ends.client = *Connection::client({}, {*Credentials::load(ends.client_identity), identity.pin}, ends.now, ends.random);
    EXPECT_TRUE(ends.connect());
}

} // namespace narrowlink::quic::test

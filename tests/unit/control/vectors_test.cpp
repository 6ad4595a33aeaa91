// Replays docs/vectors, which docs/protocol.md offers to other implementations. It is here and not
// with wire because it reads JSON.

#include "narrowlink/control/message.hpp"
#include "narrowlink/nat/probe_channel.hpp"
#include "narrowlink/wire/capsule.hpp"
#include "narrowlink/wire/relay_frame.hpp"
#include "narrowlink/wire/udp_target.hpp"
#include "narrowlink/wire/varint.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace narrowlink {
namespace {

namespace json = boost::json;

json::object vectors(const std::string& name)
{
    std::ifstream file{std::string{NARROWLINK_SOURCE_DIR} + "/docs/vectors/" + name + ".json"};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    return json::parse(text).as_object();
}

std::string text_of(const json::value& value)
{
    return {value.as_string().data(), value.as_string().size()};
}

std::vector<std::byte> bytes_of(const json::value& hex)
{
    const std::string text = text_of(hex);
    std::vector<std::byte> bytes(text.size() / 2);
    EXPECT_TRUE(wire::parse_hex(text, bytes)) << text;
    return bytes;
}

TEST(Vectors, OfVarints)
{
    const json::object file = vectors("varint");
    for (const json::value& vector : file.at("valid").as_array()) {
        const auto encoded = bytes_of(vector.at("encoded"));
        const auto value = vector.at("value").to_number<std::uint64_t>();
        EXPECT_EQ(wire::decode_varint(encoded), (wire::Varint{value, encoded.size()}));
        std::array<std::byte, wire::max_varint_size> block{};
        Writer out{block};
        wire::write_varint(out, value);
        EXPECT_EQ(to_hex(out.written()) == text_of(vector.at("encoded")),
                  vector.at("shortest").as_bool());
    }
    for (const json::value& vector : file.at("truncated").as_array())
        EXPECT_FALSE(wire::decode_varint(bytes_of(vector)));
}

/// Gives out the bytes of a vector.
class GivenRandom final : public Random {
public:
    explicit GivenRandom(std::vector<std::byte> bytes) : bytes_{std::move(bytes)} {}

    void fill(MutableBytes block) override
    {
        ASSERT_EQ(block.size(), bytes_.size());
        std::ranges::copy(bytes_, block.begin());
    }

private:
    std::vector<std::byte> bytes_;
};

TEST(Vectors, OfProbes)
{
    const json::object file = vectors("probe");
    for (const json::value& vector : file.at("valid").as_array()) {
        SCOPED_TRACE(text_of(vector.at("name")));
        nat::ProbeCredentials credentials;
        std::ranges::copy(bytes_of(vector.at("probe_id")), credentials.id.begin());
        std::ranges::copy(*from_base64url(text_of(vector.at("probe_key"))), credentials.key.begin());
        const auto sender = wire::ProbeSender{vector.at("sender").to_number<std::uint8_t>()};
        const auto receiver = sender == wire::ProbeSender::agent ? wire::ProbeSender::client
                                                                 : wire::ProbeSender::agent;
        wire::Probe probe{
            .kind = wire::ProbeKind{vector.at("kind").to_number<std::uint8_t>()},
            .token = vector.at("token").to_number<std::uint32_t>(),
            .socket = vector.at("socket").to_number<std::uint8_t>(),
            .local_port = vector.at("local_port").to_number<std::uint16_t>(),
            .seen = SocketAddress::parse(text_of(vector.at("address")))};
        GivenRandom random{bytes_of(vector.at("random"))};
        const auto packet = nat::ProbeChannel{credentials, sender}.seal(probe, random);
        EXPECT_EQ(to_hex(packet), text_of(vector.at("packet")));
        const auto opened =
            nat::ProbeChannel{credentials, receiver}.open(bytes_of(vector.at("packet")));
        probe.sender = sender;
        probe.sequence = 1;
        EXPECT_EQ(opened, probe);
    }
}

TEST(Vectors, OfRelayMessages)
{
    const json::object file = vectors("relay_frame");
    for (const json::value& vector : file.at("valid").as_array()) {
        SCOPED_TRACE(text_of(vector.at("name")));
        const auto message = bytes_of(vector.at("message"));
        const auto frame = wire::decode_relay_frame(message);
        ASSERT_TRUE(frame);
        EXPECT_EQ(frame->header.segment_size, vector.at("segment_size").to_number<std::uint16_t>());
        EXPECT_EQ(static_cast<std::uint32_t>(frame->header.handle),
                  vector.at("handle").to_number<std::uint32_t>());
        EXPECT_EQ(frame->segments(), vector.at("packets").as_array().size());
        std::string packets;
        for (const json::value& packet : vector.at("packets").as_array())
            packets += text_of(packet);
        EXPECT_EQ(to_hex(frame->payload), packets);

        Buffer buffer{wire::RelayHeader::size, frame->payload.size()};
        std::ranges::copy(frame->payload, buffer.tailroom().begin());
        buffer.commit(frame->payload.size());
        wire::prepend(buffer, frame->header);
        EXPECT_EQ(to_hex(buffer.bytes()), text_of(vector.at("message")));
    }
    for (const json::value& vector : file.at("invalid").as_array())
        EXPECT_FALSE(wire::decode_relay_frame(bytes_of(vector.at("message"))))
            << text_of(vector.at("name"));
    for (const json::value& vector : file.at("rewritten").as_array()) {
        auto message = bytes_of(vector.at("message"));
        wire::rewrite_handle(message,
                             wire::PairHandle{vector.at("handle").to_number<std::uint32_t>()});
        EXPECT_EQ(to_hex(message), text_of(vector.at("result")));
    }
}

TEST(Vectors, OfCapsules)
{
    const json::object file = vectors("capsule");
    for (const json::value& vector : file.at("streams").as_array()) {
        SCOPED_TRACE(text_of(vector.at("name")));
        const auto stream = bytes_of(vector.at("stream"));
        wire::CapsuleReader reader;
        json::array datagrams;
        for (const std::byte& b : stream) {
            Bytes input{&b, 1};
            const auto value = reader.read(input);
            ASSERT_TRUE(value);
            if (*value)
                datagrams.emplace_back(json::string{to_hex(**value)});
        }
        EXPECT_EQ(datagrams, vector.at("datagrams").as_array());
        EXPECT_EQ(reader.at_boundary(), vector.at("ends_cleanly").as_bool());
    }
    for (const json::value& vector : file.at("refused").as_array()) {
        const auto stream = bytes_of(vector.at("stream"));
        wire::CapsuleReader reader;
        Bytes input{stream};
        EXPECT_FALSE(reader.read(input)) << text_of(vector.at("name"));
    }
}

TEST(Vectors, OfUdpPayloadsAndTargets)
{
    const json::object file = vectors("capsule");
    for (const json::value& vector : file.at("udp").as_array()) {
        SCOPED_TRACE(text_of(vector.at("name")));
        const auto datagram = bytes_of(vector.at("datagram"));
        const auto payload = wire::decode_udp_payload(datagram);
        ASSERT_TRUE(payload);
        ASSERT_EQ(payload->has_value(), !vector.at("payload").is_null());
        if (*payload) {
            EXPECT_EQ(to_hex(**payload), text_of(vector.at("payload")));
        }
    }
    for (const json::value& vector : file.at("udp_refused").as_array())
        EXPECT_FALSE(wire::decode_udp_payload(bytes_of(vector)));
    for (const json::value& vector : file.at("targets").as_array()) {
        const HostPort target{text_of(vector.at("host")),
                              vector.at("port").to_number<std::uint16_t>()};
        EXPECT_EQ(wire::format_udp_path(target), text_of(vector.at("path")));
        EXPECT_EQ(wire::parse_udp_path(text_of(vector.at("path"))), target);
    }
    for (const json::value& vector : file.at("targets_refused").as_array())
        EXPECT_FALSE(wire::parse_udp_path(text_of(vector))) << text_of(vector);
}

TEST(Vectors, OfControlMessages)
{
    const json::object file = vectors("control");
    for (const json::value& vector : file.at("valid").as_array()) {
        const auto message = control::parse(json::serialize(vector));
        ASSERT_TRUE(message) << json::serialize(vector);
        EXPECT_EQ(json::parse(control::format(*message)), vector);
    }
    for (const json::value& vector : file.at("ignored").as_array()) {
        const auto message = control::parse(json::serialize(vector));
        ASSERT_TRUE(message);
        EXPECT_TRUE(std::holds_alternative<control::Unknown>(*message));
    }
    for (const json::value& vector : file.at("invalid").as_array())
        EXPECT_FALSE(control::parse(text_of(vector))) << text_of(vector);
}

} // namespace
} // namespace narrowlink

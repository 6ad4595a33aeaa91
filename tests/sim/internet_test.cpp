#include "internet.hpp"

#include <gtest/gtest.h>

#include <array>

namespace narrowlink::sim {
namespace {

/// A host with a socket that remembers who has sent to it.
struct End {
    End(World& world, Site& site)
        : access{world, {}, {}}, host{world, access, site}, socket{host.open(site.kind().has_v4)}
    {
        socket->set_sink([this](const SocketAddress& from, Bytes) { heard.push_back(from); });
    }

    void say(const SocketAddress& to, std::uint8_t ttl = 0)
    {
        socket->send(to, std::array<std::byte, 10>{}, ttl);
    }

    [[nodiscard]] SocketAddress local() const { return {host.addresses().front(), socket->port()}; }

    Access access;
    Host host;
    std::unique_ptr<UdpSocket> socket;
    std::vector<SocketAddress> heard;
};

class InternetTest : public testing::Test {
protected:
    InternetTest()
    {
        internet.add_server(
            {*IpAddress::parse("198.51.100.2"), *IpAddress::parse("2001:db8:ff::2")},
            [this](const Datagram& d) {
                seen.push_back(d.from);
                ttls.push_back(d.ttl);
            });
    }

    void pass(Duration time = seconds{1}) { world.run_until(world.now() + time); }

    /// Where the server sees it.
    SocketAddress mapped(End& end)
    {
        seen.clear();
        end.say({*IpAddress::parse(end.socket->is_v4() ? "198.51.100.2" : "2001:db8:ff::2"), 443});
        pass();
        return seen.empty() ? SocketAddress{} : seen.back();
    }

    World world{1};
    Internet internet{world};
    std::vector<SocketAddress> seen;
    std::vector<std::uint8_t> ttls;
};

} // namespace

TEST_F(InternetTest, TheServerSeesTheMappedAddress)
{
    Site home{internet, nat_kind("port_restricted")};
    End end{world, home};
    EXPECT_EQ(to_string(mapped(end)), fmt::format("198.18.1.2:{}", end.socket->port()));
    EXPECT_EQ(ttls.back(), 64 - 3) << "home, provider, core";
}

TEST_F(InternetTest, DatagramsTakeTheDelayOfBothLines)
{
    Site one{internet, nat_kind("public")}, two{internet, nat_kind("public")};
    one.up.delay = milliseconds{30};
    two.down.delay = milliseconds{50};
    End a{world, one}, b{world, two};
    a.say(b.local());
    pass(milliseconds{79});
    EXPECT_TRUE(b.heard.empty());
    pass(milliseconds{2});
    EXPECT_EQ(b.heard.size(), 1U);
}

TEST_F(InternetTest, AFullQueueDrops)
{
    Site one{internet, nat_kind("public")}, two{internet, nat_kind("public")};
    one.up.bytes_per_second = 38'000; // a millisecond for each
    End a{world, one}, b{world, two};
    for (int i = 0; i < 1'000; ++i)
        a.say(b.local());
    pass();
    EXPECT_GT(b.heard.size(), 195U);
    EXPECT_LT(b.heard.size(), 210U) << "200 ms of them";
}

TEST_F(InternetTest, ATtlOfFourOpensTheOwnRouterAndDiesBeforeTheOther)
{
    Site home{internet, nat_kind("port_restricted")};
    Site away{internet, nat_kind("port_restricted_open_input")};
    End a{world, home}, b{world, away};
    const SocketAddress at_a = mapped(a), at_b = mapped(b);
    a.say(at_b, 4);
    pass();
    EXPECT_TRUE(b.heard.empty());
    b.say(at_a);
    pass();
    EXPECT_EQ(a.heard, std::vector{at_b}) << "not poisoned: from the mapping that the server saw";

    a.say(at_b, 5);
    pass();
    EXPECT_TRUE(b.heard.empty()) << "one hop short of the host";
    a.say(at_b, 6);
    pass();
    EXPECT_EQ(b.heard, std::vector{at_a});
}

TEST_F(InternetTest, APacketThatComesTooEarlyPoisonsAnOpenInput)
{
    Site home{internet, nat_kind("port_restricted")};
    Site away{internet, nat_kind("port_restricted_open_input")};
    End a{world, home}, b{world, away};
    const SocketAddress at_a = mapped(a), at_b = mapped(b);
    a.say(at_b);
    pass();
    b.say(at_a);
    pass();
    EXPECT_TRUE(b.heard.empty());
    EXPECT_TRUE(a.heard.empty()) << "it came from another port than the server saw";
}

TEST_F(InternetTest, HairpinningGivesTheExternalAddressAsSource)
{
    for (const std::string_view kind : {"full_cone", "full_cone_hairpin"}) {
        Site home{internet, nat_kind(kind)};
        End a{world, home}, b{world, home};
        const SocketAddress at_a = mapped(a), at_b = mapped(b);
        a.say(at_b);
        pass();
        EXPECT_EQ(b.heard, kind == "full_cone" ? std::vector<SocketAddress>{} : std::vector{at_a});
        a.say(b.local());
        pass();
        EXPECT_EQ(b.heard.back(), a.local()) << "the switch between them needs no NAT";
    }
}

TEST_F(InternetTest, TwoNatsInARowFilterAsTheStricterOne)
{
    Site carrier{internet, nat_kind("full_cone")};
    Site home{internet, nat_kind("port_restricted"), &carrier};
    Site neighbour{internet, nat_kind("full_cone"), &carrier};
    Site away{internet, nat_kind("public")};
    End a{world, home}, b{world, neighbour}, c{world, away};
    const SocketAddress at_a = mapped(a), at_b = mapped(b);
    EXPECT_EQ(at_a.ip, at_b.ip);
    c.say(at_a);
    c.say(at_b);
    pass();
    EXPECT_TRUE(a.heard.empty());
    EXPECT_EQ(b.heard, std::vector{c.local()});
    a.say(at_b);
    pass();
    EXPECT_EQ(b.heard.size(), 1U) << "the carrier does not hairpin";
    const SocketAddress inside{*IpAddress::parse("100.64.3.2"), b.socket->port()};
    a.say(inside);
    pass();
    EXPECT_EQ(b.heard.size(), 2U) << "but it has an inside";
}

TEST_F(InternetTest, Ipv6HasNoWayToIpv4)
{
    Site six{internet, nat_kind("ipv6_firewall")}, other{internet, nat_kind("ipv6_firewall")};
    Site four{internet, nat_kind("public")};
    End a{world, six}, b{world, other}, c{world, four};
    EXPECT_EQ(mapped(a), a.local());
    a.say(c.local());
    a.say(b.local());
    pass();
    EXPECT_TRUE(c.heard.empty());
    EXPECT_TRUE(b.heard.empty()) << "nobody has asked for it";
    b.say(a.local());
    pass();
    EXPECT_EQ(a.heard, std::vector{b.local()});
}

TEST_F(InternetTest, TroubleHasADirection)
{
    Site one{internet, nat_kind("public")}, two{internet, nat_kind("public")};
    End a{world, one}, b{world, two};
    internet.trouble(&one, &two).dead = true;
    a.say(b.local());
    b.say(a.local());
    pass();
    EXPECT_TRUE(b.heard.empty());
    EXPECT_EQ(a.heard.size(), 1U);
    internet.trouble(&one, &two) = {.loss = 0.2};
    for (int i = 0; i < 1'000; ++i)
        a.say(b.local());
    pass();
    EXPECT_GT(b.heard.size(), 750U);
    EXPECT_LT(b.heard.size(), 850U);
}

TEST_F(InternetTest, WhoRoamsIsSeenElsewhereFromTheSameSocket)
{
    Site home{internet, nat_kind("port_restricted")}, cafe{internet, nat_kind("symmetric_random")};
    End end{world, home};
    const SocketAddress before = mapped(end);
    end.host.move_to(cafe);
    const SocketAddress after = mapped(end);
    EXPECT_NE(before.ip, after.ip);
}

TEST_F(InternetTest, WithoutItsNetworkAHostNeitherSendsNorHears)
{
    Site one{internet, nat_kind("public")}, two{internet, nat_kind("public")};
    End a{world, one}, b{world, two};
    a.access.fail(false);
    a.say(b.local());
    b.say(a.local());
    pass();
    EXPECT_TRUE(a.heard.empty() && b.heard.empty());
    a.access.restore();
    a.say(b.local());
    pass();
    EXPECT_EQ(b.heard.size(), 1U);
}

// ---- machines that sleep

TEST(Machine, TasksWaitWhileItSleepsAndItsClockMayStandStill)
{
    for (const bool stands : {true, false}) {
        World world{1};
        const Life life;
        const auto machine = std::make_shared<Machine>();
        const Instant begin = world.now();
        std::vector<Duration> real, own;
        {
            const World::On on{world, machine};
            for (const Duration when : {seconds{1}, seconds{3}, seconds{20}})
                world.at(begin + when, life, [&] {
                    real.push_back(world.true_now() - begin);
                    own.push_back(world.now() - begin);
                });
        }
        world.run_until(begin + seconds{2});
        world.suspend(*machine);
        world.run_until(begin + seconds{12});
        EXPECT_EQ(real.size(), 1U);
        world.resume(*machine, stands);
        world.run_until(begin + minutes{1});
        using Times = std::vector<Duration>;
        if (stands) {
            EXPECT_EQ(real, (Times{seconds{1}, seconds{13}, seconds{30}}));
            EXPECT_EQ(own, (Times{seconds{1}, seconds{3}, seconds{20}}));
        } else {
            EXPECT_EQ(real, (Times{seconds{1}, seconds{12}, seconds{20}}));
            EXPECT_EQ(own, real);
        }
        const World::On on{world, machine};
        const Instant now = world.now();
        Instant posted{};
        world.post(life, [&] { posted = world.now(); });
        world.run_until(world.true_now() + seconds{1});
        EXPECT_EQ(posted, now) << "it counts by its own clock";
    }
}

} // namespace narrowlink::sim

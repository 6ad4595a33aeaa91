"""iperf3 through `forward`: both directions, 16 streams, and UDP."""

import json

from lab import Client, Iperf3, Scenario, main, start_all


class Iperf(Scenario):
    route, path = ("--relay",), "path=relay-udp"
    configuration = ""

    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, client = start_all(cls.lab)
        cls.client = Client(cls.lab, None, configuration=f"join: {client.join}\n{cls.configuration}")
        cls.server = Iperf3(cls.lab, cls.lab.agent)
        # The data of `iperf3 -u` goes to the UDP port of the same number as its control connection.
        port = cls.lab.client.free_port()
        cls.tcp = cls.client.forward("home", cls.server.target, *cls.route, port=port)
        cls.udp = cls.client.forward("home", cls.server.target, *cls.route, udp=True, port=port)
        for forward in (cls.tcp, cls.udp):
            forward.process.until(lambda: cls.path in forward.process.error(), 20, f"it is on {cls.path}")

    def iperf(self, *arguments):
        done = self.lab.check(["iperf3", "-c", "127.0.0.1", "-p", str(self.tcp.port), "-t", "4", "--json",
                               *arguments], self.lab.client)
        report = json.loads(done.out)
        self.assertNotIn("error", report)
        for interval in report["intervals"][:-1]:  # the last one may be a short remainder
            self.assertGreater(interval["sum"]["bytes"], 0, "a whole second without a byte")
        return report["end"]

    def show(self, what, end):
        print(f"{what}: {end['bits_per_second'] / 1e9:.2f} Gbit/s")

    def test_one_stream_towards_the_agent(self):
        self.show("to the agent", self.iperf()["sum_received"])

    def test_one_stream_from_the_agent(self):
        self.show("from the agent", self.iperf("-R")["sum_received"])

    def test_sixteen_streams_all_get_their_share(self):
        for direction in ([], ["-R"]):
            end = self.iperf("-P", "16", *direction)
            self.show("16 streams", end["sum_received"])
            starved = [stream for stream in end["streams"] if stream["receiver"]["bytes"] == 0]
            self.assertEqual(starved, [])

    def test_udp_at_50_mbit_a_second(self):
        for direction in ([], ["-R"]):
            end = self.iperf("-u", "-b", "50M", "-l", "1200", *direction)
            self.assertGreater(end["sum"]["packets"], 4 * 50e6 / 8 / 1_200 / 2)
            self.assertLess(end["sum"]["lost_percent"], 5)


class IperfWebSocket(Iperf):
    path = "path=relay-websocket"
    configuration = "relay: websocket\n"


class IperfDirect(Iperf):
    route, path = ("--direct",), "path=direct-udp"


if __name__ == "__main__":
    main()

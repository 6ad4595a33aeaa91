"""Direct paths between every kind of NAT that the gateway's view of a node is enough for."""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import (GATEWAY6, Agent, Capture, Client, Exit, Gateway, PacedStream, Scenario,  # noqa: E402
                 TcpServer, echo, exchange, main, until)
from nat_lab import NatLab  # noqa: E402

# Agent's side, client's side.
CELLS = [
    ("public", "public"),
    ("port_restricted", "public"),
    ("public", "port_restricted"),
    ("port_restricted", "port_restricted"),
    ("address_restricted", "endpoint_independent_random"),
    ("full_cone", "symmetric_random"),
    ("symmetric_random", "address_restricted"),
    ("symmetric_sequential", "full_cone"),
    ("port_restricted_reject", "public_firewall"),
    ("port_restricted_open_input", "port_restricted"),
    ("endpoint_independent_random", "port_restricted_open_input"),
    ("port_restricted_open_input", "port_restricted_open_input"),
]

ETHERNET = 14


class DirectScenario(Scenario):
    laboratory = NatLab
    gateway_options = {}

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab, **cls.gateway_options).start()


class Direct(DirectScenario):
    def pair(self, home_kind, away_kind):
        """An agent and a client, each at a site of its own; and what passes between the two."""
        home, away = self.lab.site(home_kind), self.lab.site(away_kind)
        name = f"{home_kind}-{away_kind}"[:60]
        agent = Agent(self.lab, self.gateway.token("agent", name), name, namespace=home.host(0)).start()
        client = Client(self.lab, self.gateway.token("client", name), name, namespace=away.host(0))
        client.until_agent(name)
        return agent, client, self.lab.core.count_udp(home, away)

    def test_a_stream_moves_onto_the_direct_path_in_every_cell(self):
        for home, away in CELLS:
            with self.subTest(agent=home, client=away):
                agent, client, direct = self.pair(home, away)
                server = TcpServer(self.lab, agent.namespace, echo)
                forward = client.forward(agent.name, server.target)
                with forward.connect() as sock:
                    exchange(sock, 1_000)
                    forward.process.until(lambda: "path=direct-udp" in forward.process.error(), 10,
                                          "there is a direct path")
                    relayed = Capture(self.lab, self.lab.core, "gateway", [])
                    exchange(sock, 3_000_000)
                    self.assertEqual(relayed.stop(), 0, "packets that the capture has missed")
                # Whole trains of packets count as one on virtual links.
                self.assertGreater(direct.packets, 2 * 3_000_000 / 65_536, "the bytes went from site to site")
                self.assertLess(relayed.bytes, 100_000, "and not through the gateway")
                forward.stop()
                agent.process.stop()

    def test_status_tells_what_runs_here(self):
        agent, client, _ = self.pair("full_cone", "port_restricted")
        self.assertEqual(json.loads(client.run("status", "--json").out), [])
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        relayed = client.forward(agent.name, server.target, "--relay")
        forward.process.until(lambda: "path=direct-udp" in forward.process.error(), 10, "there is a direct path")
        relayed.process.until(lambda: "path=relay-udp" in relayed.process.error(), 10, "the other is on the relay")
        with relayed.connect() as sock:
            exchange(sock, 500_000)
        reports = {report["route"]: report for report in json.loads(client.run("status", "--json").out)}
        self.assertEqual({route: report["path"] for route, report in reports.items()},
                         {"automatic": "direct-udp", "relay": "relay-udp"})
        self.assertGreater(reports["relay"]["bytes_sent"], 500_000)
        self.assertGreater(reports["relay"]["rtt_ms"], 0)
        self.assertEqual({report["agent"] for report in reports.values()}, {agent.name})
        self.assertEqual(reports["automatic"]["mtu"], 1472, "what Ethernet leaves for UDP over IPv4")
        self.assertIn("address-and-port-dependent filtering, ports preserved", reports["automatic"]["nat"])
        self.assertIn("address-dependent filtering, ports preserved", reports["automatic"]["agent_nat"])
        stream = PacedStream(forward.connect(), seed=3)
        loss = lambda: json.loads(client.run("status", "--json").out)[0]["loss"]  # noqa: E731
        until(lambda: loss() == 0, 10, "there are enough packets to tell the loss")
        self.lab.sites[-1].link.set_loss(10)
        until(lambda: (loss() or 0) > 0.01, 20, "losses are shown")
        self.lab.sites[-1].link.set_loss(0)
        report = json.loads(client.run("status", "--json").out)[0]
        # 4,096 bytes 50 times a second in each direction, as long as the machine keeps up
        for rate in report["sent_per_second"], report["received_per_second"]:
            self.assertGreater(rate, 20_000)
            self.assertLess(rate, 2_000_000)
        stream.finish()
        head, *lines = client.run("status").out.splitlines()
        self.assertEqual(head.split(), ["PROCESS", "COMMAND", "AGENT", "PATH", "SINCE", "RTT", "LOSS", "MTU", "SENT",
                                        "RECEIVED", "SENDING", "RECEIVING"])
        self.assertTrue(any(line.strip().startswith("agent: endpoint-independent mapping") for line in lines), lines)
        forward.process.kill()
        relayed.stop()
        shown = client.run("status")
        self.assertEqual((shown.code, shown.out), (Exit.ok, ""), "the sockets of the dead are no clients")

    def test_who_sends_with_cubic_marks_packets_for_ecn(self):
        server = TcpServer(self.lab, (home := self.lab.site("port_restricted")).host(0), echo)
        for control, marks in ("bbr", 0), ("cubic", 2 * 3_000_000 // 65_536):
            with self.subTest(control=control):
                away, configuration = self.lab.site("full_cone"), f"congestion_control: {control}\n"
                agent = self.gateway.agent(control, namespace=home.host(0), configuration=configuration).start()
                client = Client(self.lab, None, control, namespace=away.host(0),
                                configuration=f"join: {self.gateway.token('client', control)}\n{configuration}")
                client.until_agent(agent.name)
                marked, all_ = (self.lab.core.count_udp(home, away, ecn) for ecn in ("ect0", None))
                with client.forward(agent.name, server.target, "--direct").connect() as sock:
                    exchange(sock, 3_000_000)
                self.assertGreater(all_.packets, 2 * 3_000_000 // 65_536)
                if marks:
                    self.assertGreater(marked.packets, marks)
                else:
                    self.assertEqual(marked.packets, 0)
                agent.process.stop()

    def test_relay_means_that_no_packet_goes_to_the_peer(self):
        agent, client, direct = self.pair("port_restricted", "full_cone")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target, "--relay")
        with forward.connect() as sock:
            for path in ("relay-websocket", "relay-udp"):
                forward.process.until(lambda path=path: f"path={path}" in forward.process.error(), 10, f"it is on {path}")
                exchange(sock, 1_000_000)
        self.assertEqual(direct.packets, 0)

    def test_direct_means_that_no_user_byte_passes_the_gateway(self):
        agent, client, direct = self.pair("port_restricted", "endpoint_independent_random")
        server = TcpServer(self.lab, agent.namespace, echo)
        relayed = Capture(self.lab, self.lab.core, "gateway", [])
        with client.forward(agent.name, server.target, "--direct").connect() as sock:
            exchange(sock, 3_000_000)
        self.assertEqual(relayed.stop(), 0, "packets that the capture has missed")
        self.assertGreater(direct.packets, 2 * 3_000_000 / 65_536)
        self.assertLess(relayed.bytes, 100_000, "introduction, handshake and probes")

    def test_direct_waits_for_a_path_that_has_died_instead_of_using_the_gateway(self):
        home, away = self.lab.site("port_restricted"), self.lab.site("full_cone")
        agent = self.gateway.agent("patient", namespace=home.host(0)).start()
        client = self.gateway.client("patient", namespace=away.host(0))
        client.until_agent(agent.name)
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target, "--direct")
        stream = PacedStream(forward.connect(), seed=2)
        stream.until_progress(20, 200_000)
        direct = self.lab.core.count_udp(home, away)
        relayed = Capture(self.lab, self.lab.core, "gateway", [])
        here = self.lab.gateway.address
        away.link.set_loss(100, match=f"meta l4proto udp ip saddr != {here} ip daddr != {here}")
        begun = stream.sent
        until(lambda: stream.sent > begun + 1_000_000, 30, "the application has sent a megabyte meanwhile")
        stuck, crossed = stream.received, direct.packets
        away.link.set_loss(0)
        self.assertEqual(relayed.stop(), 0, "packets that the capture has missed")
        self.assertLess(relayed.bytes, 100_000, "meetings and keepalives")
        self.assertLess(stuck, begun + 100_000, "what had come when the path died")
        stream.until_progress(60, 1_000_000)
        self.assertGreater(direct.packets, crossed)
        stream.finish()
        self.assertEqual((server.accepted, server.failures), (1, []))
        forward.stop()
        agent.process.stop()

    def test_direct_without_a_direct_path_says_why(self):
        for home, away, why in [("udp_blocked", "full_cone", "UDP is blocked at the agent"),
                                ("full_cone", "udp_blocked", "UDP is blocked between this machine and the gateway")]:
            with self.subTest(agent=home, client=away):
                agent, client, direct = self.pair(home, away)
                configured = Client(self.lab, None, f"{client.name[:40]}-patient", namespace=client.namespace,
                                    configuration=f"join: {client.join}\nconnect_timeout: 5m\n")
                done = configured.run("connect", "--direct", "-n", agent.name, "127.0.0.1:22")
                self.assertEqual(done.code, Exit.no_direct_path, done)
                self.assertIn(f'there is no direct path to agent "{agent.name}": {why}', done.err)
                waiting = configured.run("forward", "--direct", "-n", agent.name, "-l", "0", "127.0.0.1:22")
                self.assertEqual(waiting.code, Exit.no_direct_path, waiting)
                self.assertIn(f'there is no direct path to agent "{agent.name}": {why}', waiting.err)
                self.assertEqual(direct.packets, 0)
                agent.process.stop()

    def test_direct_and_relay_exclude_each_other(self):
        client = self.gateway.client("undecided", namespace=self.lab.gateway)
        done = client.run("connect", "--direct", "--relay", "-n", "home", "127.0.0.1:22")
        self.assertEqual(done.code, Exit.usage, done)


class NarrowPath(DirectScenario):
    headers = 20 + 8
    home_kind, away_kind = "port_restricted", "full_cone"

    def test_a_path_that_takes_smaller_packets_only_is_found_out(self):
        home, away = self.lab.site(self.home_kind), self.lab.site(self.away_kind)
        for host in self.lab.gateway, home.host(0), away.host(0):  # else a whole train of packets would be seen as one
            host.configure([f"link set {host.interface} gso_max_segs 1"])
        agent = self.gateway.agent("narrow", namespace=home.host(0)).start()
        client = self.gateway.client("narrow", namespace=away.host(0))
        client.until_agent(agent.name)
        server = TcpServer(self.lab, agent.namespace, echo)
        direct = self.lab.core.count_udp(home, away)

        def status():
            report, = json.loads(client.run("status", "--json").out)
            return report["path"], report["mtu"]

        forward = client.forward(agent.name, server.target)
        with forward.connect() as sock:
            until(lambda: status() == ("direct-udp", 1_500 - self.headers), 10, "the size of the path is known")
            # Whose packets have become too long; status shows what the client may send.
            for narrow, link, size, mtu in (("to the agent", home.link, 1_400, 1_400 - self.headers),
                                            ("to the client", away.link, 1_280, 1_400 - self.headers)):
                with self.subTest(narrow=narrow):
                    link.set_mtu(size)
                    capture = Capture(self.lab, self.lab.core, link.interface, [])

                    def settled(mtu=mtu):
                        before = direct.forth, direct.back
                        exchange(sock, 3_000_000)
                        passed = min(direct.forth - before[0], direct.back - before[1])
                        return passed > 3_000_000 / 1_500 and status() == ("direct-udp", mtu)
                    until(settled, 20, "all goes by the direct path, in packets that fit")
                    until(lambda: capture.largest_sent >= ETHERNET + size, 10, "the largest that fit are found")
                    self.assertEqual(capture.stop(), 0, "packets that the capture has missed")
                    self.assertEqual(capture.largest_sent, ETHERNET + size)
                    self.assertEqual(capture.fragments, 0)
        forward.stop()
        agent.process.stop()


class NarrowPathOverIpv6(NarrowPath):
    gateway_options = {"listen": "[::]:443", "public": f"[{GATEWAY6}]:443"}
    headers = 40 + 8
    home_kind = away_kind = "ipv6_firewall"


if __name__ == "__main__":
    main()

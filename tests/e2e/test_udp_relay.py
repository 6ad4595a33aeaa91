"""The relay over UDP: where it reaches the gateway from both ends, and there is no direct path."""

import itertools
import json
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import (Agent, Capture, Client, Gateway, Scenario, TcpServer, echo, exchange, main,  # noqa: E402
                 until)
from nat_lab import NatLab  # noqa: E402


class UdpRelay(Scenario):
    laboratory, numbers = NatLab, itertools.count()

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab).start()

    def pair(self, home_kind, away_kind, configuration=""):
        home, away = self.lab.site(home_kind), self.lab.site(away_kind)
        name = f"{home_kind}-{away_kind}-{next(self.numbers)}"
        agent = Agent(self.lab, self.gateway.token("agent", name), name, namespace=home.host(0)).start()
        join = self.gateway.token("client", name)
        client = Client(self.lab, None, name, namespace=away.host(0),
                        configuration=f"join: {join}\n{configuration}")
        client.until_agent(name)
        return agent, client, home, away

    def path(self, client):
        report, = json.loads(client.run("status", "--json").out)
        return report["path"]

    def test_a_stream_moves_onto_it_and_back_when_udp_is_cut(self):
        agent, client, home, away = self.pair("symmetric_random", "symmetric_random")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        over_udp = self.lab.core.count_udp(home, self.lab.gateway)
        with forward.connect() as sock:
            until(lambda: self.path(client) == "relay-udp", 10, "the pair uses the relay over UDP")
            before = over_udp.packets
            exchange(sock, 3_000_000)
            self.assertGreater(over_udp.packets - before, 2 * 3_000_000 / 65_536, "the bytes went over UDP")
            home.link.set_loss(100)  # of UDP
            exchange(sock, 100_000)
            self.assertEqual(self.path(client), "relay-websocket")
            home.link.set_loss(0)
            until(lambda: self.path(client) == "relay-udp", 30, "it comes back")
            exchange(sock, 1_000_000)
        forward.stop()
        agent.process.stop()

    def test_a_direct_path_is_better(self):
        agent, client, home, away = self.pair("port_restricted", "full_cone")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        with forward.connect() as sock:
            until(lambda: self.path(client) == "direct-udp", 10, "there is a direct path")
            exchange(sock, 500_000)
        forward.stop()
        agent.process.stop()

    def test_relay_uses_it_and_sends_nothing_to_the_peer(self):
        agent, client, home, away = self.pair("full_cone", "port_restricted")
        server = TcpServer(self.lab, agent.namespace, echo)
        direct = self.lab.core.count_udp(home, away)
        forward = client.forward(agent.name, server.target, "--relay")
        with forward.connect() as sock:
            until(lambda: self.path(client) == "relay-udp", 10, "the pair uses the relay over UDP")
            exchange(sock, 1_000_000)
        self.assertEqual(direct.packets, 0)
        forward.stop()
        agent.process.stop()

    def test_who_wants_the_web_socket_alone_gets_it_alone(self):
        agent, client, home, away = self.pair("symmetric_random", "symmetric_random", "relay: websocket\n")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target, "--relay")
        over_udp = self.lab.core.count_udp(away, self.lab.gateway)
        with forward.connect() as sock:
            for _ in range(5):  # longer than it takes otherwise
                exchange(sock, 200_000)
                time.sleep(1)
        self.assertEqual(over_udp.packets, 0)
        self.assertEqual(self.path(client), "relay-websocket")
        forward.stop()
        agent.process.stop()

    def test_who_records_packets_cannot_make_the_gateway_send_anything(self):
        agent, client, home, away = self.pair("symmetric_random", "symmetric_random")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        with forward.connect() as sock:
            until(lambda: self.path(client) == "relay-udp", 10, "the pair uses the relay over UDP")
            recorded = []
            with away.host(0).open_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
                tap.settimeout(5)
                exchange(sock, 200_000)
                while len(recorded) < 20:
                    frame = tap.recv(262_144)
                    gateway = socket.inet_aton("198.51.100.2")
                    if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[30:34] == gateway:
                        recorded.append(frame[42:])
            forward.stop()  # silence, but for what strangers cause
            stranger = self.lab.site("public").host(0)
            answers = self.lab.core.count_udp(self.lab.gateway, stranger)
            with stranger.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for packet in recorded * 5:
                    sender.sendto(packet[:1_400], ("198.51.100.2", 443))
                sender.settimeout(1)
                with self.assertRaises(TimeoutError):
                    sender.recv(2_048)
            self.assertEqual(answers.forth, 0)
        agent.process.stop()


if __name__ == "__main__":
    main()

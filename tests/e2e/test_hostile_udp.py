"""What a stranger can do who sees every packet, knows every address and port, and can forge sources: nothing."""

import json
import random
import socket
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import (GATEWAY, GATEWAY6, Agent, Client, Gateway, Scenario, TcpServer, echo, exchange, main,  # noqa: E402
                 until)
from nat_lab import RECIPES, NatLab  # noqa: E402

PROBE = 96
ETHERNET = 14
LONGEST = 1_500  # with the headers of IP; a whole train of packets is one on virtual links
UDP = 17
ETH_P_ALL = 3


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forged(source, target, payload):
    """A packet of IPv4 or IPv6, as its addresses say, with UDP in it."""
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, address) for address, _ in (source, target))
    size = 8 + len(payload)
    ports = struct.pack("!HHH", source[1], target[1], size)
    # The pseudo headers of both families have this sum; over IPv6 a checksum has to be (RFC 8200 §8.1).
    total = checksum(ends + struct.pack("!HH", UDP, size) + ports + payload) or 0xFFFF
    udp = ports + struct.pack("!H", total) + payload
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, size, UDP, 64) + ends + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, UDP, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def target_of(packet):
    if packet[0] >> 4 == 6:
        return socket.inet_ntop(socket.AF_INET6, packet[24:40])
    return socket.inet_ntop(socket.AF_INET, packet[16:20])


def parsed(frame):
    """(source, target, payload) of the UDP packet in an Ethernet frame, None of anything else."""
    if frame[12:14] == b"\x08\x00" and frame[23] == UDP:
        family, first, size = socket.AF_INET, 26, 4
    elif frame[12:14] == b"\x86\xdd" and frame[20] == UDP:
        family, first, size = socket.AF_INET6, 22, 16
    else:
        return None
    second, udp = first + size, first + 2 * size
    ports = struct.unpack("!HH", frame[udp:udp + 4])
    return ((socket.inet_ntop(family, frame[first:second]), ports[0]),
            (socket.inet_ntop(family, frame[second:udp]), ports[1]), frame[udp + 8:ETHERNET + LONGEST])


class Recorder:
    """The UDP packets that pass an interface of the core: (source, target, payload)."""

    def __init__(self, core, interface):
        self._sock = core.open_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._sock.bind((interface, 0))
        self._sock.settimeout(0.2)

    def packets(self, most):
        found = []
        while len(found) < most:
            try:
                packet = parsed(self._sock.recv(262_144))
            except TimeoutError:
                return found
            if packet:
                found.append(packet)
        return found

    def close(self):
        self._sock.close()


class HostileUdp(Scenario):
    laboratory = NatLab
    family, headers = socket.AF_INET, 20 + 8
    gateway_address, options = GATEWAY, {}
    # Routers that let everything in: a stranger's packets arrive.
    nodes, strangers = "full_cone", "public"

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab, **cls.options).start()

    def setUp(self):
        self.home, self.away = self.lab.site(self.nodes), self.lab.site(self.nodes)
        self.stranger = self.lab.site(self.strangers).host(0)
        name = f"home{random.randrange(1 << 30)}"
        recorder = Recorder(self.lab.core, self.away.link.interface)
        self.agent = Agent(self.lab, self.gateway.token("agent", name), name, namespace=self.home.host(0)).start()
        self.client = Client(self.lab, self.gateway.token("client", name), name, namespace=self.away.host(0))
        self.client.until_agent(name)
        server = TcpServer(self.lab, self.agent.namespace, echo)
        self.forward = self.client.forward(name, server.target, "--log-level", "debug")
        self.sock = self.forward.connect()
        exchange(self.sock, 10_000)
        until(lambda: self.status()["path"] == "direct-udp", 10, "there is a direct path")
        exchange(self.sock, 100_000)
        self.recorded = recorder.packets(400)
        recorder.close()
        self.ways = self.forward.process.error().count("way_opened")
        self.assertEqual({":" in source[0] for source, _, _ in self.recorded}, {self.family == socket.AF_INET6})
        packet = next(p for p in self.recorded if p[0][0] == self.home.address and p[1][0] == self.away.address)
        self.agent_at, self.client_at = packet[0], packet[1]

    def tearDown(self):
        self.sock.close()
        self.forward.stop()
        self.agent.process.stop()

    def status(self):
        report, = json.loads(self.client.run("status", "--json").out)
        return report

    def attack(self, packets):
        """Sends them while a stream runs, and tells how many bytes came to the stranger."""
        before = self.lab.core.count_udp(self.gateway_address, self.stranger)
        from_agent = self.lab.core.count_udp(self.home, self.stranger)
        from_client = self.lab.core.count_udp(self.away, self.stranger)
        with self.stranger.open_socket(self.family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            self.prove_arrival(raw)
            for number, packet in enumerate(packets):
                raw.sendto(packet, (target_of(packet), 0))
                if number % 100 == 0:
                    exchange(self.sock, 1_000)
        exchange(self.sock, 1_000_000)
        time.sleep(1.5)  # what an answer would be followed by
        self.assertEqual(self.status()["path"], "direct-udp", "the path stays what it was")
        self.assertEqual(self.forward.process.error().count("way_opened"), self.ways, "no way to the stranger")
        return before.forth_bytes, from_agent.forth_bytes, from_client.forth_bytes

    def prove_arrival(self, raw):
        """What is forged gets through, its checksum too: else nothing would have been attacked."""
        with self.lab.gateway.open_socket(self.family, socket.SOCK_DGRAM) as victim:
            victim.bind((self.gateway_address, 0))
            victim.settimeout(5)
            for source in self.agent_at, self.client_at, (self.stranger.address, 4_000):
                raw.sendto(forged(source, victim.getsockname()[:2], b"odd"), (self.gateway_address, 0))
                self.assertEqual(victim.recvfrom(100)[1][:2], source)

    def from_stranger(self, target, payload):
        return forged((self.stranger.address, 4_000), target, payload)

    def targets(self):
        return [(self.gateway_address, port) for port in (443, 8444, 8445, 8446)] + [self.agent_at, self.client_at]

    def test_replayed_packets_are_no_questions(self):
        probes = {p[2] for p in self.recorded if len(p[2]) == PROBE}
        self.assertGreater(len(probes), 5, "probes were recorded")
        self.assertGreater(len(self.recorded) - len(probes), 20, "QUIC packets were recorded")
        gateway, agent, client = self.attack([self.from_stranger(target, payload)
                                              for _, _, payload in self.recorded for target in self.targets()])
        self.assertEqual(gateway, 0)
        # Punches that had died on their way are new to the peer, and nobody knows whose address it is.
        self.assertLessEqual(agent + client, 3 * len(probes) * (PROBE + self.headers))

    def test_replays_with_the_right_addresses_change_nothing(self):
        self.assertEqual(self.attack([forged(source, target, payload)
                                      for source, target, payload in self.recorded] * 3), (0, 0, 0))

    def test_altered_probes_are_answered_by_nobody(self):
        random.seed(1)
        altered = []
        for _, _, payload in [p for p in self.recorded if len(p[2]) == PROBE] * 10:
            changed = bytearray(payload)
            changed[random.randrange(9, PROBE)] ^= 1 << random.randrange(8)
            altered.extend(self.from_stranger(target, bytes(changed)) for target in self.targets())
        self.assertEqual(self.attack(altered), (0, 0, 0))

    def test_noise_from_the_peers_address_does_not_end_the_path(self):
        random.seed(2)
        noise = []
        for _, _, payload in [p for p in self.recorded if len(p[2]) > PROBE][:50] * 10:
            changed = bytearray(payload)
            changed[9:] = random.randbytes(len(changed) - 9)  # the right connection ID and nothing else
            noise.append(forged(self.agent_at, self.client_at, bytes(changed)))
            noise.append(forged(self.client_at, self.agent_at, bytes(changed)))
        self.assertEqual(self.attack(noise), (0, 0, 0))


class HostileUdpOverIpv6(HostileUdp):
    family, headers = socket.AF_INET6, 40 + 8
    gateway_address, options = GATEWAY6, {"listen": "[::]:443", "public": f"[{GATEWAY6}]:443"}
    nodes = strangers = replace(RECIPES["public"], has_ipv4=False, has_ipv6=True)


if __name__ == "__main__":
    main()

"""UDP: dnsmasq and dig over `forward -u` and `connect -u`, and datagrams of every size."""

import os
import random
import select
import struct
import time

from lab import Dnsmasq, LabError, Pattern, Scenario, UdpEcho, main, start_all

SIZES = [1, 2, 3, 63, 512, 1_000, 1_151, 1_152, 1_200, 1_252, 1_253, 1_350, 1_400, 1_452, 1_472, 1_473, 1_500,
         4_096, 8_192, 9_000, 16_000, 16_300, 16_383, 16_384, 16_385, 20_000, 32_768, 40_000, 59_999, 60_000]
BIG_TEXT = [f"{number:03}-" + "x" * 236 for number in range(14)]  # about 3.4 KB in one answer


class Udp(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        hosts = [(f"host{number}.lab.test", [f"10.20.{number // 250}.{number % 250 + 1}"])
                 for number in range(300)]
        cls.dns = Dnsmasq(cls.lab, cls.lab.agent, hosts, [("big.lab.test", BIG_TEXT)])

    def dig(self, port, *arguments):
        return self.lab.check(["dig", "@127.0.0.1", "-p", str(port), "+notcp", "+ignore", "+bufsize=4096",
                               "+tries=3", "+timeout=3", *arguments], self.lab.client, timeout=90).out

    def test_dig_gets_an_answer_over_forward(self):
        forward = self.client.forward("home", self.dns.target, udp=True)
        self.assertEqual(self.dig(forward.port, "+short", "host7.lab.test"), "10.20.0.8\n")
        self.assertIn("status: NXDOMAIN", self.dig(forward.port, "nobody.lab.test"))

    def test_an_answer_larger_than_a_packet_arrives(self):
        forward = self.client.forward("home", self.dns.target, udp=True)
        answer = self.dig(forward.port, "big.lab.test", "TXT")
        for text in BIG_TEXT:
            self.assertIn(text, answer)
        self.assertNotIn("flags: qr aa rd ra tc", answer)
        self.assertRegex(answer, r"\(UDP\)")

    def test_many_questions_get_their_own_answers(self):
        forward = self.client.forward("home", self.dns.target, udp=True)
        questions = self.lab.folder / "questions"
        questions.write_text("".join(f"host{number}.lab.test\n" for number in range(300)))
        out = self.dig(forward.port, "+short", "-f", questions)
        self.assertEqual(out.split(), [f"10.20.{number // 250}.{number % 250 + 1}"
                                       for number in range(300)])

    def test_connect_carries_a_question_and_its_answer(self):
        process = self.client.connect("home", self.dns.target, "-u")
        labels = b"".join(bytes([len(label)]) + label for label in (b"host7", b"lab", b"test"))
        question = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
        answer = exchange(process, question)
        self.assertEqual(answer[:2], b"\x12\x34")
        self.assertEqual(answer[-4:], bytes([10, 20, 0, 8]))
        self.assertEqual(process.stop(), 0)

    def test_datagrams_of_every_size_come_back_as_they_were_over_forward(self):
        server = UdpEcho(self.lab, self.lab.agent)
        forward = self.client.forward("home", server.target, udp=True)
        sizes = SIZES + random.Random(1).sample(range(1, 60_000), 30)
        with forward.udp() as sock:
            for size in sizes:
                with self.subTest(size=size):
                    self.echo(sock, Pattern(size).part(0, size))

    def test_datagrams_keep_their_borders_over_connect(self):
        server = UdpEcho(self.lab, self.lab.agent)
        process = self.client.connect("home", server.target, "-u")
        for size in (1, 512, 1_200, 1_500, 9_000, 30_000):
            datagram = Pattern(size).part(0, size)
            self.assertEqual(exchange(process, datagram), datagram)
        self.assertEqual(process.stop(), 0)

    def test_flows_of_many_local_ports_stay_apart(self):
        server = UdpEcho(self.lab, self.lab.agent)
        forward = self.client.forward("home", server.target, udp=True)
        socks = [forward.udp() for _ in range(50)]
        for round_number in range(5):
            for number, sock in enumerate(socks):
                self.echo(sock, f"flow {number} round {round_number}".encode())
        for sock in socks:
            sock.close()

    def echo(self, sock, datagram, attempts=3):
        """UDP may lose a datagram, but never change, cut or misdirect one."""
        for _ in range(attempts):
            sock.send(datagram)
            try:
                self.assertTrue(sock.recv(65_536) == datagram, f"{len(datagram)} bytes came back changed")
                return
            except TimeoutError:
                continue
        raise LabError(f"a datagram of {len(datagram)} bytes never came back")


def exchange(process, datagram, attempts=3):
    """One datagram into standard input; what comes out of standard output until it is as long, or DNS."""
    for _ in range(attempts):
        process.stdin.write(datagram)
        process.stdin.flush()
        received = b""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and len(received) < len(datagram):
            ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
            if ready and not (part := os.read(process.stdout.fileno(), 65_536)):
                raise LabError(f"connect closed its standard output\n{process.tail()}")
            elif ready:
                received += part
        if received:
            return received
    raise LabError(f"a datagram of {len(datagram)} bytes got no answer\n{process.tail()}")


if __name__ == "__main__":
    main()

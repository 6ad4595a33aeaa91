"""The laboratory itself: what it claims about the network is true, else no scenario proves anything."""

import socket

from lab import (BLACK_HOLE, CLIENT_NAT, GATEWAY, GATEWAY6, Capture, Dnsmasq, Iperf3, LabError, Nginx,
                 PacedStream, Scenario, Sshd, TcpServer, UdpEcho, echo, main, tool, until)


class Laboratory(Scenario):
    def test_nodes_behind_nat_reach_the_gateway_and_appear_as_their_nat(self):
        peers = []
        server = TcpServer(self.lab, self.lab.gateway, lambda c: peers.append(c.getpeername()[0]),
                           GATEWAY)
        with self.lab.client.connect((GATEWAY, server.port)) as sock:
            self.assertEqual(sock.recv(1), b"")
        self.assertEqual(peers, [CLIENT_NAT])

    def test_nodes_behind_nat_reach_the_gateway_over_ipv6(self):
        server = TcpServer(self.lab, self.lab.gateway, echo, GATEWAY6)
        for node in (self.lab.agent, self.lab.client):
            with node.connect((GATEWAY6, server.port)) as sock:
                sock.sendall(b"six")
                self.assertEqual(sock.recv(3), b"six")

    def test_nobody_reaches_a_node_behind_nat(self):
        server = TcpServer(self.lab, self.lab.agent, echo, "0.0.0.0")
        for address in ("192.168.10.2", "203.0.113.2"):
            with self.assertRaises(OSError):
                self.lab.stranger.connect((address, server.port), timeout=0.5)
        with self.assertRaises(OSError):
            self.lab.client.connect(("192.168.10.2", server.port), timeout=0.5)

    def test_the_black_hole_swallows(self):
        with self.assertRaises(TimeoutError):
            self.lab.agent.connect((BLACK_HOLE, 80), timeout=0.5)

    def test_a_cut_network_is_silent_and_comes_back(self):
        server = TcpServer(self.lab, self.lab.gateway, echo, GATEWAY)
        stream = PacedStream(self.lab.client.connect((GATEWAY, server.port)), 1)
        stream.until_progress(5)
        self.lab.cut_network()
        before = stream.received
        with self.assertRaises(LabError):
            stream.until_progress(1, 10 * 4_096)
        self.lab.restore_network()
        stream.until_progress(10, 10 * 4_096)
        self.assertGreater(stream.received, before)
        stream.finish()

    def test_core_can_reset_connections(self):
        server = TcpServer(self.lab, self.lab.gateway, echo, GATEWAY)
        stream = PacedStream(self.lab.client.connect((GATEWAY, server.port)), 1)
        stream.until_progress(5)
        self.lab.reset_connections(server.port)
        stream.until_ended(5)
        self.lab.restore_network()
        self.assertIsInstance(stream.failure, ConnectionResetError)

    def test_the_pattern_shows_a_single_wrong_byte(self):
        def corrupt(connection):
            connection.sendall(connection.recv(4_096)[:-1] + b"!")
        server = TcpServer(self.lab, self.lab.agent, corrupt)
        stream = PacedStream(self.lab.agent.connect(("127.0.0.1", server.port)), 1, chunk=100)
        stream.until_ended(5)
        self.assertIn("byte 99 of the stream", str(stream.failure))

    def test_a_capture_sees_what_is_not_encrypted(self):
        capture = Capture(self.lab, self.lab.core, "gateway", [b"needle", b"nothing"])
        server = TcpServer(self.lab, self.lab.gateway, echo, GATEWAY)
        with self.lab.client.connect((GATEWAY, server.port)) as sock:
            sock.sendall(b"a needle")
            sock.recv(100)
        until(lambda: capture.seen[b"needle"], 5, "the needle is seen")
        self.assertEqual(capture.stop(), 0)
        self.assertEqual(capture.seen[b"nothing"], 0)

    def test_a_capture_counts_fragments(self):
        for family, address in (socket.AF_INET, GATEWAY), (socket.AF_INET6, GATEWAY6):
            with self.subTest(address=address):
                capture = Capture(self.lab, self.lab.core, "gateway", [])
                with self.lab.client.open_socket(family, socket.SOCK_DGRAM) as sock:
                    for size in 1_000, 3_000:
                        sock.sendto(bytes(size), (address, 9))
                until(lambda: capture.fragments >= 3, 5, "there are fragments")
                self.assertEqual(capture.stop(), 0)
                self.assertEqual(capture.fragments, 3)
                self.assertIn(capture.largest_sent, range(1_500, 1_515))

    def test_udp_echo_returns_large_datagrams(self):
        server = UdpEcho(self.lab, self.lab.agent)
        with self.lab.agent.open_socket(kind=socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.sendto(bytes(60_000), ("127.0.0.1", server.port))
            self.assertEqual(len(sock.recv(65_536)), 60_000)

    def test_the_real_servers_serve(self):
        lab = self.lab
        sshd = Sshd(lab, lab.agent)
        proxy = f"{tool('socat')} - TCP:127.0.0.1:{sshd.port}"
        done = lab.check(["ssh", *sshd.options(proxy), "anything", "echo through ssh"], lab.agent)
        self.assertEqual(done.out, "through ssh\n")
        self.assertEqual(sshd.logins(), 1)

        port = lab.agent.free_port()
        Nginx(lab, lab.agent, f"server {{ listen {port}; location / {{ return 200 hello; }} }}", port)
        self.assertEqual(lab.check(["curl", "-sS", f"http://127.0.0.1:{port}/"], lab.agent).out, "hello")

        Dnsmasq(lab, lab.agent, [("one.lab.test", ["10.1.2.3", "fd00::3"])])
        self.assertEqual(lab.check(["dig", "+short", "one.lab.test"], lab.agent).out, "10.1.2.3\n")
        missing = lab.run(["getent", "ahosts", "none.lab.test"], lab.agent)
        self.assertNotEqual(missing.code, 0)
        found = lab.check(["getent", "ahostsv4", "one.lab.test"], lab.agent)
        self.assertIn("10.1.2.3", found.out)

        iperf = Iperf3(lab, lab.agent)
        lab.check(["iperf3", "-c", "127.0.0.1", "-p", str(iperf.port), "-t", "1"], lab.agent)

    def test_programs_end_with_the_lab(self):
        process = self.lab.start(["sleep", "1000"], "sleeper", self.lab.stranger)
        self.assertTrue(process.running())
        process.kill()
        self.assertFalse(process.running())


if __name__ == "__main__":
    main()

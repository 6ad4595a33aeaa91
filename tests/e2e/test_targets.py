"""Targets that refuse, time out, do not resolve, half-close, reset, or are slow for a minute."""

import threading
import time

from lab import (AGENT_LAN6, BLACK_HOLE, BLACK_HOLE6, Dnsmasq, Exit, LabError, PacedStream, Pattern, Scenario,
                 TcpServer, echo, main, read_exactly, read_to_end, send_reset, start_all, until)

SLOW_SECONDS = 60


class Targets(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab, "connect_timeout: 2s\n")
        Dnsmasq(cls.lab, cls.lab.agent, [
            ("lan.lab.test", ["127.0.0.1"]),
            ("half.lab.test", ["127.0.0.1", BLACK_HOLE6]),
            ("six.lab.test", [AGENT_LAN6]),
            ("denied.lab.test", ["127.0.0.3"]),
        ])

    def refusal(self, target, client=None):
        """One sentence on stderr, nothing on stdout; returns (exit code, sentence)."""
        process = (client or self.client).connect("home", target)
        code = process.wait(30)
        self.assertEqual(process.stdout.read(), b"")
        lines = process.error().strip().splitlines()
        self.assertEqual(len(lines), 1, process.tail())
        self.assertIn(target.rpartition(":")[0], lines[0])
        return code, lines[0]

    def test_four_different_failures_have_four_different_sentences_and_codes(self):
        policy = self.gateway.token("policy", "no-such-name", "--id", "7", "--type", "black",
                                    "--rule", "domain:denied.lab.test")
        guest = self.gateway.client("guest", "--policy", policy)
        refused = self.refusal(f"127.0.0.1:{self.lab.agent.free_port()}")
        timed_out = self.refusal(f"{BLACK_HOLE}:80")
        unresolved = self.refusal("nowhere.lab.test:80")
        denied = self.refusal("denied.lab.test:80", guest)
        self.assertEqual([refused[0], timed_out[0], unresolved[0], denied[0]],
                         [Exit.target_refused, Exit.target_timed_out, Exit.target_not_resolved,
                          Exit.policy_denied])
        self.assertRegex(refused[1], "refused")
        self.assertRegex(timed_out[1], "timed out|no answer|did not answer")
        self.assertRegex(unresolved[1], "resolve")
        self.assertRegex(denied[1], "polic")

    def test_forward_closes_the_connection_whose_target_cannot_be_reached(self):
        forward = self.client.forward("home", f"127.0.0.1:{self.lab.agent.free_port()}")
        for _ in range(3):
            with forward.connect() as sock:
                try:
                    self.assertEqual(sock.recv(1), b"")
                except ConnectionResetError:
                    pass
        until(lambda: "refused" in forward.process.error(), 5, "the log says why")
        self.assertTrue(forward.process.running())

    def test_names_are_resolved_where_the_agent_is(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        with self.client.forward("home", f"lan.lab.test:{server.port}").connect() as sock:
            sock.sendall(b"name")
            self.assertEqual(sock.recv(4), b"name")

    def test_a_target_with_a_dead_ipv6_address_is_reached_over_ipv4(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        with self.client.forward("home", f"half.lab.test:{server.port}").connect() as sock:
            sock.sendall(b"raced")
            self.assertEqual(sock.recv(5), b"raced")

    def test_a_target_with_an_ipv6_address_only_is_reached(self):
        server = TcpServer(self.lab, self.lab.agent, echo, AGENT_LAN6)
        with self.client.forward("home", f"six.lab.test:{server.port}").connect() as sock:
            sock.sendall(b"six")
            self.assertEqual(sock.recv(3), b"six")

    def test_the_target_may_go_on_after_the_client_has_finished_sending(self):
        received = []

        def answer_after_the_end(connection):
            received.append(read_to_end(connection))
            connection.sendall(Pattern(2).part(0, 3_000_000))
        server = TcpServer(self.lab, self.lab.agent, answer_after_the_end)
        with self.client.forward("home", server.target).connect() as sock:
            sock.sendall(Pattern(1).part(0, 2_000_000))
            sock.shutdown(1)
            self.assertEqual(read_to_end(sock), Pattern(2).part(0, 3_000_000))
        self.assertEqual(received, [Pattern(1).part(0, 2_000_000)])

    def test_the_client_may_go_on_after_the_target_has_finished_sending(self):
        received = []

        def finish_first(connection):
            connection.sendall(b"that is all")
            connection.shutdown(1)
            received.append(read_to_end(connection))
        server = TcpServer(self.lab, self.lab.agent, finish_first)
        with self.client.forward("home", server.target).connect() as sock:
            self.assertEqual(read_to_end(sock), b"that is all")
            sock.sendall(Pattern(3).part(0, 2_000_000))
            sock.shutdown(1)
            until(lambda: received, 20, "the target has got everything")
        self.assertEqual(received, [Pattern(3).part(0, 2_000_000)])

    def test_a_reset_by_the_target_reaches_the_application_as_a_reset(self):
        def reset(connection):
            read_exactly(connection, 5)
            send_reset(connection)
        server = TcpServer(self.lab, self.lab.agent, reset)
        with self.client.forward("home", server.target).connect() as sock:
            sock.sendall(b"hello")
            with self.assertRaises(ConnectionResetError):
                while sock.recv(100):
                    pass
                raise LabError("an ordinary end instead of a reset: data may be missing unnoticed")

    def test_a_reset_by_the_application_reaches_the_target_as_a_reset(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        sock = self.client.forward("home", server.target).connect()
        sock.sendall(b"hello")
        self.assertEqual(read_exactly(sock, 5), b"hello")
        send_reset(sock)
        until(lambda: server.failures, 20, "the target sees a reset")
        self.assertIsInstance(server.failures[0], ConnectionResetError)

    def test_connect_says_that_the_target_reset_the_stream(self):
        def reset(connection):
            read_exactly(connection, 5)
            send_reset(connection)
        server = TcpServer(self.lab, self.lab.agent, reset)
        process = self.client.connect("home", server.target)
        process.stdin.write(b"hello")
        process.stdin.flush()
        self.assertEqual(process.wait(20), Exit.connection_lost)
        self.assertRegex(process.error(), "reset|abrupt")

    def test_a_target_that_does_not_read_for_a_minute_holds_up_nobody_else(self):
        awake = threading.Event()
        received = []
        amount = 48 << 20  # more than every buffer on the way

        def sleepy(connection):
            awake.wait(SLOW_SECONDS + 60)
            received.append(read_to_end(connection))
        slow_server = TcpServer(self.lab, self.lab.agent, sleepy)
        quick_server = TcpServer(self.lab, self.lab.agent, echo)
        # One client process, so that one QUIC connection carries both.
        first, second = self.lab.client.free_port(), self.lab.client.free_port()
        both = self.client.start("forward", "-n", "home",
                                 "-l", f"127.0.0.1:{first}", slow_server.target,
                                 "-l", f"127.0.0.1:{second}", quick_server.target)
        both.until(lambda: self.lab.client.listens(first) and self.lab.client.listens(second), 5, "both listen")
        slow = self.lab.client.connect(("127.0.0.1", first), timeout=SLOW_SECONDS + 60)
        sender = threading.Thread(target=self.send_and_end, args=(slow, Pattern(9).part(0, amount)), daemon=True)
        sender.start()

        quick = PacedStream(self.lab.client.connect(("127.0.0.1", second), timeout=20), 10)
        over = time.monotonic() + SLOW_SECONDS
        while time.monotonic() < over:
            quick.until_progress(5, 10 * 4_096)
            with self.lab.client.connect(("127.0.0.1", second), timeout=20) as sock:
                sock.sendall(b"new")
                self.assertEqual(read_exactly(sock, 3), b"new")
        quick.finish()
        self.assertEqual(received, [])
        self.assertTrue(sender.is_alive(), "back pressure: the sender has to wait for a slow target")
        self.assertLess(both.resident_bytes() + self.agent.process.resident_bytes(), 192 << 20,
                        "a slow target must not fill memory")

        awake.set()
        until(lambda: any(len(part) == amount for part in received), 60, "the slow target has got everything")
        self.assertIn(Pattern(9).part(0, amount), received)
        slow.close()

    @staticmethod
    def send_and_end(sock, data):
        sock.sendall(data)
        sock.shutdown(1)


if __name__ == "__main__":
    main()

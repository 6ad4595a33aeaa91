"""The network goes away, or its connections are reset, under a stream that nobody restarts."""

import time

from lab import PacedStream, Scenario, TcpServer, echo, main, start_all, until

RESUMES_WITHIN = 2  # seconds after the network's return: attempts come every 0.5 s (docs/architecture.md)
SESSION_ENDS_AFTER = 8  # seconds of silence


class Outage(Scenario):
    route = ("--relay",)

    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def tearDown(self):
        self.lab.restore_network()

    def stream(self, seed):
        server = TcpServer(self.lab, self.lab.agent, echo)
        stream = PacedStream(self.client.forward("home", server.target, *self.route).connect(), seed)
        stream.until_progress(10, 20 * 4_096)
        self.server = server
        return stream

    def outage(self, stream, seconds):
        self.lab.cut_network()
        dark_until = time.monotonic() + seconds
        stood_at = None

        def over():
            nonlocal stood_at
            if stood_at is None and time.monotonic() > dark_until - seconds + 2:
                stood_at = stream.received
            return time.monotonic() >= dark_until
        until(over, seconds + 5, "the outage is over")
        self.assertEqual(stream.received, stood_at, "bytes passed while the network was cut")
        self.assertIsNone(stream.failure, "the stream has to wait, not to fail")
        self.lab.restore_network()
        # A session that has survived goes on with TCP's next retransmission, up to as far away as the outage
        # was long (RFC 6298 §5.5).
        survives = seconds < SESSION_ENDS_AFTER
        return stream.until_progress(RESUMES_WITHIN + (seconds if survives else 0))

    def test_a_stream_resumes_after_30_seconds_without_any_network(self):
        stream = self.stream(1)
        took = self.outage(stream, 30)
        print(f"resumed {took:.2f} s after the network's return")
        stream.until_progress(20, stream.sent - stream.received + 50 * 4_096)
        stream.finish()
        self.assertEqual(self.server.accepted, 1)

    def test_a_stream_survives_short_outages_in_a_row(self):
        stream = self.stream(2)
        for seconds in (3, 12, 5):
            self.outage(stream, seconds)
            stream.until_progress(10, stream.sent - stream.received)
        stream.finish()

    def test_a_stream_survives_resets_of_the_websocket_connections(self):
        stream = self.stream(3)
        lab, port = self.lab, self.gateway.port
        for _ in range(3):
            before = {node: node.connections(port) for node in (lab.agent, lab.client)}
            for node, open_now in before.items():
                self.assertTrue(open_now, f"{node.role} has no connection to the gateway")
            lab.reset_connections(port)
            until(lambda: not any(node.connections(port) & old for node, old in before.items()), 20,
                  "both nodes have lost their connections")
            lab.restore_network()
            stream.until_progress(RESUMES_WITHIN)
            stream.until_progress(10, stream.sent - stream.received)
        stream.finish()
        self.assertEqual(self.server.accepted, 1)

    def test_an_idle_stream_is_still_there_after_an_outage(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        sock = self.client.forward("home", server.target, "--relay").connect()
        sock.sendall(b"before")
        self.assertEqual(sock.recv(6), b"before")
        self.lab.cut_network()
        until(lambda: not self.lab.client.connections(self.gateway.port), 40,
              "the client gives the silent connection up")
        self.lab.restore_network()
        sock.sendall(b"after")
        self.assertEqual(sock.recv(5), b"after")
        sock.close()


class OutageOfEveryPath(Outage):
    """The same with a direct path beside the relay; the connections of the WebSocket do not matter then."""

    route = ()
    test_a_stream_survives_resets_of_the_websocket_connections = None
    test_an_idle_stream_is_still_there_after_an_outage = None


if __name__ == "__main__":
    main()

"""What a listener at the gateway's door reads: packets, never the payload."""

from lab import (GATEWAY, Agent, Capture, Client, Gateway, JoinString, Scenario, TcpServer,
                 UdpEcho, echo, main, read_exactly, until)

MARK = b"MARK-of-the-payload-that-nobody-in-between-may-read"
CONTROL = b"MARK-of-the-plain-connection-that-shows-the-capture-works"
NAME = b"name-of-the-target.lab.test"


class PacketPrivacy(Scenario):
    def carry(self, agent, client):
        """Carries MARK by TCP and UDP in both directions, and CONTROL next to it without protection."""
        lab = self.lab
        self.capture = Capture(lab, lab.core, "gateway", [MARK, CONTROL, NAME, b'"type":"', b'"introduced"'])
        agent.start()
        client.until_agent()
        payload = MARK * 20_000

        server = TcpServer(lab, lab.agent, echo)
        with client.forward("home", server.target, "--relay").connect() as sock:
            for _ in range(20):
                sock.sendall(payload[:60_000])
                self.assertEqual(read_exactly(sock, 60_000), payload[:60_000])
        with client.forward("home", UdpEcho(lab, lab.agent).target, "--relay", udp=True).udp() as sock:
            for size in (len(MARK), 1_000, 5_000):
                sock.send(payload[:size])
                self.assertEqual(sock.recv(65_536), payload[:size])
        client.connect("home", f"{NAME.decode()}:80", "--relay").wait(30)

        plain = TcpServer(lab, lab.gateway, echo, GATEWAY)
        with lab.stranger.connect((GATEWAY, plain.port)) as sock:
            sock.sendall(CONTROL)
            read_exactly(sock, len(CONTROL))
        until(lambda: self.capture.seen[CONTROL], 5, "the capture sees what is in plain sight")
        self.assertEqual(self.capture.stop(), 0, "the capture has missed packets")
        self.assertGreater(self.capture.bytes, 4 * 20 * 60_000, "the payload did not come this way")

    def test_over_wss_neither_payload_nor_control_messages_are_readable(self):
        gateway = Gateway(self.lab).start()
        self.carry(gateway.agent(), gateway.client())
        self.assertEqual({mark: self.capture.seen[mark] for mark in (MARK, NAME, b'"type":"', b'"introduced"')},
                         {MARK: 0, NAME: 0, b'"type":"': 0, b'"introduced"': 0})
        gateway.process.stop()

    def test_over_plain_ws_the_control_messages_are_readable_but_the_payload_is_not(self):
        """Also what the gateway itself, or a proxy that ends TLS in front of it, can read."""
        gateway = Gateway(self.lab, port=444, configuration=f"listen_plain: {GATEWAY}:8080\n").start()
        gateway.process.until(lambda: self.lab.gateway.listens(8080), 5, "the plain listener listens")

        def plain(join):
            return f"""\
endpoints:
  - !SelfHosted
    gateway: {GATEWAY}:8080
    token: {JoinString(join).token}
    protocol: Ws
"""
        self.carry(Agent(self.lab, None, configuration=plain(gateway.token("agent", "home"))),
                   Client(self.lab, None, configuration=plain(gateway.token("client", "laptop"))))
        self.assertGreater(self.capture.seen[b'"introduced"'], 0, "this was not plain WebSocket")
        self.assertEqual({mark: self.capture.seen[mark] for mark in (MARK, NAME)}, {MARK: 0, NAME: 0})
        gateway.process.stop()


if __name__ == "__main__":
    main()

"""nginx with TLS in front of the plain listener, as on a machine that has a web site already."""

from lab import (GATEWAY, STRANGER, Agent, Authority, Client, Exit, Gateway, JoinString, Nginx, PacedStream, Response,
                 Scenario, TcpServer, echo, main, pin_of, request, self_signed_certificate, tls, until,
                 upgrade_fields)
SITE = """
map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
server {{
    listen {address}:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
        proxy_pass http://127.0.0.1:{plain};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_read_timeout 1h;
        proxy_buffering off;
    }}
}}
"""


class ProxyInFront(Scenario):
    def behind_nginx(self, certificate, key, port):
        """nginx with TLS on the public address and `port`; the gateway on loopback, plain only."""
        plain = port + 1
        gateway = Gateway(self.lab, port=plain, listen="", public=f"{GATEWAY}:{port}", configuration=f"""\
listen_plain: 127.0.0.1:{plain}
trusted_proxies: [127.0.0.1/32]
""").start()
        Nginx(self.lab, self.lab.gateway, SITE.format(address=GATEWAY, port=port, plain=plain,
                                                      certificate=certificate, key=key), port)
        return gateway

    def work(self, agent, client):
        agent.start()
        client.until_agent()
        server = TcpServer(self.lab, self.lab.agent, echo)
        stream = PacedStream(client.forward("home", server.target).connect(), 1)
        stream.until_progress(10, 50 * 4_096)
        stream.finish()

    def test_nodes_trust_nginx_by_an_authority_they_know(self):
        authority = Authority(self.lab)
        gateway = self.behind_nginx(*authority.issue(GATEWAY), port=443)
        self.work(gateway.agent(environment=authority.environment),
                  gateway.client(environment=authority.environment))

        done = gateway.client("without-authority").run("list")
        self.assertEqual(done.code, Exit.gateway_unreachable, done)
        self.assertRegex(done.err, "certificate")
        gateway.process.stop()

    def test_nodes_trust_nginx_by_the_pin_of_its_self_signed_certificate(self):
        folder, _ = self.lab.home("certificate")
        certificate, key = self_signed_certificate(self.lab, folder, "site", GATEWAY)
        gateway = self.behind_nginx(certificate, key, port=9443)

        def pinned(join):
            return f"""\
endpoints:
  - !SelfHosted
    gateway: {GATEWAY}:9443
    token: {JoinString(join).token}
    pin: {pin_of(self.lab, certificate)}
"""
        self.work(Agent(self.lab, None, configuration=pinned(gateway.token("agent", "home"))),
                  Client(self.lab, None, configuration=pinned(gateway.token("client", "laptop"))))
        gateway.process.stop()

    def test_visitors_see_the_web_site_and_are_known_by_their_own_address(self):
        folder, _ = self.lab.home("certificate")
        gateway = self.behind_nginx(*self_signed_certificate(self.lab, folder, "site", GATEWAY), port=7443)
        with tls(self.lab.stranger.connect((GATEWAY, 7443))) as sock:
            request(sock, host=f"{GATEWAY}:7443")
            answer = Response(sock)
        self.assertEqual(answer.status, 200)
        self.assertNotIn("narrowlink", (answer.head + answer.body).lower())

        with tls(self.lab.stranger.connect((GATEWAY, 7443))) as sock:
            self.refused_token(sock, gateway)
        until(lambda: STRANGER in gateway.process.error(), 5, "the log has the stranger's own address")
        gateway.process.stop()

    def test_a_forwarded_address_counts_from_trusted_proxies_only(self):
        gateway = Gateway(self.lab, port=6443, listen="", configuration=f"""\
listen_plain: {GATEWAY}:6443
trusted_proxies: [127.0.0.1/32]
""").start()
        with self.lab.stranger.connect((GATEWAY, 6443)) as sock:
            self.refused_token(sock, gateway, {"X-Forwarded-For": "10.99.99.99"})
        until(lambda: STRANGER in gateway.process.error(), 5, "the log has the stranger's own address")
        self.assertNotIn("10.99.99.99", gateway.process.error())
        gateway.process.stop()

    def refused_token(self, sock, gateway, fields=None):
        """Shows a token with a wrong signature, which the gateway logs with the sender's address."""
        join = JoinString(gateway.token("client", "liar"))
        wrong = join.token[:-8] + "AAAAAAAA"
        request(sock, path=join.path, host=join.host, fields={**upgrade_fields(wrong), **(fields or {})})
        self.assertEqual(Response(sock).status, 401)


if __name__ == "__main__":
    main()

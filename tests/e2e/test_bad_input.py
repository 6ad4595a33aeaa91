"""Bad input gets an exit code and one sentence: the thing, where it stands, the remedy. No stack trace."""

import signal

from lab import GATEWAY, Agent, Authority, Client, Exit, Gateway, Scenario, TcpServer, echo, main, start_all, until

TRACES = ("terminate called", "what():", "Assertion", "AddressSanitizer", "Segmentation", ".cpp:", "0x")


class BadInput(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def assert_sentence(self, done, code, *words, lines=1):
        """The last `lines` lines of stderr are all there is to say; `words` occur in them."""
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.out, "", "stdout carries data only")
        said = [line for line in done.err.splitlines() if line.strip()]
        if lines is not None:
            self.assertEqual(len(said), lines, done)
        # The folder's name is drawn at random and may hold any of these.
        own_words = done.err.replace(str(self.lab.folder), "")
        for trace in TRACES:
            self.assertNotIn(trace, own_words)
        for word in words:
            self.assertRegex(done.err, f"(?i){word}")

    # --- tokens and join strings -----------------------------------------------------------------

    def test_a_token_with_one_wrong_letter(self):
        """A damaged join string is told from a wrong token by its checksum."""
        join = self.client.join
        middle = len(join) // 2
        damaged = join[:middle] + ("A" if join[middle] != "A" else "B") + join[middle + 1:]
        self.assert_sentence(Client(self.lab, damaged).run("list"), Exit.configuration, "join string")

    def test_a_join_string_cut_in_the_middle(self):
        for size in (len(self.client.join) // 2, len(self.client.join) - 1, 6):
            done = Client(self.lab, self.client.join[:size]).run("list")
            self.assert_sentence(done, Exit.configuration, "join string", "whole|complete|again|cut")
        done = Agent(self.lab, self.agent.join[:-5]).run()
        self.assert_sentence(done, Exit.configuration, "join string", lines=None)

    def test_something_that_is_no_join_string(self):
        self.assert_sentence(Client(self.lab, "hello").run("list"), Exit.configuration, "join string", "nl1")

    def test_no_join_string_at_all(self):
        lab = self.lab
        folder, environment = lab.home("nobody")
        done = lab.run([lab.program("client"), "list"], lab.client, environment=environment, cwd=folder)
        self.assert_sentence(done, Exit.configuration, "join")

    def test_an_expired_token(self):
        client = self.gateway.client("short", "--expires", "1s")
        until(lambda: client.run("list").code != Exit.ok, 20, "the token expires")
        self.assert_sentence(client.run("list"), Exit.token_refused, "token", "expired")
        # An agent that is connected when its token expires ends as well.
        agent = self.gateway.agent("short-agent", "--expires", "2s")
        self.assert_sentence(agent.run(timeout=30), Exit.token_refused, "token", "expired", lines=None)

    def test_a_revoked_token(self):
        client = self.gateway.client("revoked")
        self.assertEqual(client.run("list").code, Exit.ok)
        self.assertEqual(self.gateway.token_command("revoke", self.gateway.token_id("revoked")).code, Exit.ok)
        until(lambda: client.run("list").code != Exit.ok, 5, "the revocation counts")
        self.assert_sentence(client.run("list"), Exit.token_refused, "token", "revoked")

    def test_a_token_of_another_gateway(self):
        """Same certificate, another secret: the token was never issued by the one that answers."""
        lab = self.lab
        authority = Authority(lab)
        certificate, key = authority.issue(GATEWAY)
        configuration = f"""\
services:
  - !Wss
    listen_addr: 0.0.0.0:444
    tls_config: !File {{cert_path: {certificate}, key_path: {key}}}
"""
        first = Gateway(lab, port=444, listen="", configuration=configuration).start()
        client = first.client("foreign", environment=authority.environment)
        agent = first.agent("foreign-agent", environment=authority.environment)
        self.assertEqual(client.run("list").code, Exit.ok)
        first.process.stop()
        second = Gateway(lab, port=444, listen="", configuration=configuration).start()
        self.assert_sentence(client.run("list"), Exit.token_refused, "token", "gateway")
        self.assert_sentence(agent.run(), Exit.token_refused, "token", "gateway", lines=None)
        second.process.stop()

    def test_a_gateway_with_another_certificate_is_not_trusted(self):
        first = self.second_gateway()
        client = first.client("pinned")
        self.assertEqual(client.run("list").code, Exit.ok)
        first.process.stop()
        impostor = Gateway(self.lab, port=444).start()
        self.assert_sentence(client.run("list"), Exit.gateway_unreachable, "certificate|key", f"{GATEWAY}:444")
        impostor.process.stop()

    def second_gateway(self):
        return Gateway(self.lab, port=444).start()

    def test_a_gateway_that_cannot_be_reached(self):
        gateway = self.second_gateway()
        client = gateway.client("early")
        gateway.process.stop()
        self.assert_sentence(client.run("list"), Exit.gateway_unreachable, f"{GATEWAY}:444", "refuse|reach")

    def test_a_client_token_is_no_agent_token(self):
        done = Agent(self.lab, self.client.join).run()
        self.assert_sentence(done, Exit.token_refused, "token", "client", "agent", lines=None)
        self.assert_sentence(Client(self.lab, self.agent.join).run("list"), Exit.token_refused, "token", "agent")

    def test_revoking_a_token_that_does_not_exist(self):
        done = self.gateway.token_command("revoke", "0123456789abcdef")
        self.assertNotEqual(done.code, Exit.ok)
        self.assert_sentence(done, done.code, "0123456789abcdef", "token list")

    def test_a_nonsensical_expiry(self):
        done = self.gateway.token_command("client", "--name", "x", "--expires", "soon")
        self.assert_sentence(done, Exit.usage, "expires", "soon", lines=None)

    # --- configuration files ---------------------------------------------------------------------

    def gateway_with(self, configuration):
        lab = self.lab
        folder, environment = lab.home("misconfigured")
        (folder / "gateway.yaml").write_text(configuration)
        return lab.run([lab.program("gateway"), "-c", folder / "gateway.yaml", "--state", folder / "s"],
                       lab.gateway, timeout=20, environment=environment, cwd=folder)

    def test_an_unknown_key_is_named_with_its_place(self):
        done = self.gateway_with(f"public: {GATEWAY}:4430\nlisten_plane: 127.0.0.1:8080\n")
        self.assert_sentence(done, Exit.configuration, r"gateway\.yaml:2:1: listen_plane: unknown key")

    def test_a_value_of_the_wrong_type_is_named_with_its_place(self):
        done = self.gateway_with(f"public: {GATEWAY}:4430\nlisten_plain: [1, 2]\n")
        self.assert_sentence(done, Exit.configuration, r"gateway\.yaml:2:15: listen_plain: expected")

    def test_every_defect_of_a_file_is_reported_at_once(self):
        done = self.gateway_with("first_unknown: 1\nlisten_plain: {}\nsecond_unknown: 2\n")
        self.assert_sentence(done, Exit.configuration, r"gateway\.yaml:1:1: first_unknown",
                             r"gateway\.yaml:2:15: listen_plain", r"gateway\.yaml:3:1: second_unknown", lines=3)

    def test_a_file_that_is_not_yaml(self):
        done = self.gateway_with("listen: [\n")
        self.assert_sentence(done, Exit.configuration, r"gateway\.yaml:\d+:\d+: ")

    def test_a_missing_certificate_is_named_with_its_place(self):
        done = self.gateway_with("services:\n  - !Wss\n    listen_addr: 127.0.0.1:4430\n    tls_config: !File\n"
                                 "      cert_path: /nowhere/here.pem\n      key_path: /nowhere/here.key\n")
        self.assert_sentence(done, Exit.configuration, r"gateway\.yaml:5:18: .*cert_path.*/nowhere/here\.pem",
                             lines=None)

    def test_a_missing_configuration_file(self):
        lab = self.lab
        for role in ("gateway", "agent"):
            folder, environment = lab.home("missing")
            done = lab.run([lab.program(role), "-c", "/nowhere/at-all.yaml"], lab.gateway, timeout=20,
                           environment=environment, cwd=folder)
            self.assert_sentence(done, Exit.configuration, "/nowhere/at-all.yaml")

    def test_an_agent_without_a_join_string(self):
        lab = self.lab
        folder, environment = lab.home("agent")
        (folder / "agent.yaml").write_text("connect_timeout: 5s\n")
        done = lab.run([lab.program("agent")], lab.agent, timeout=20, environment=environment, cwd=folder)
        self.assert_sentence(done, Exit.configuration, "join", lines=None)

    # --- ports and command lines -----------------------------------------------------------------

    def test_a_gateway_whose_port_is_taken(self):
        lab = self.lab
        folder, environment = lab.home("second")
        done = lab.run([lab.program("gateway"), "--state", folder / "s", "--listen",
                        f"0.0.0.0:{self.gateway.port}", "--public", f"{GATEWAY}:443"], lab.gateway, timeout=20,
                       environment=environment, cwd=folder)
        self.assert_sentence(done, Exit.address_in_use, f"0.0.0.0:{self.gateway.port}", "in use|uses this port", lines=None)

    def test_a_forward_whose_local_port_is_taken(self):
        first = self.client.forward("home", "127.0.0.1:22")
        done = self.client.run("forward", "-n", "home", "-l", f"127.0.0.1:{first.port}", "127.0.0.1:22")
        self.assert_sentence(done, Exit.address_in_use, f"127.0.0.1:{first.port}", "in use")
        first.stop()

    def test_a_command_line_that_makes_no_sense(self):
        for arguments in (["explode"], ["connect", "-n", "home"], ["forward", "127.0.0.1:22"],
                          ["connect", "-n", "home", "no-port"], ["connect", "-n", "home", "host:99999"],
                          ["forward", "-n", "home", "-l", "nonsense", "127.0.0.1:22"]):
            with self.subTest(arguments=arguments):
                self.assert_sentence(self.client.run(*arguments), Exit.usage, lines=None)

    # --- agents and targets ----------------------------------------------------------------------

    def test_an_agent_that_does_not_exist_and_one_that_may_not_be_seen_look_alike(self):
        self.gateway.agent("hidden", "--user", "somebody-else").start()
        other = self.gateway.client("other", "--user", "somebody-else").until_agent("hidden")
        said = []
        for name in ("nobody", "hidden"):
            process = self.client.connect(name, "127.0.0.1:22")
            self.assertEqual(process.wait(30), Exit.agent_unknown, process.tail())
            self.assertIn(name, process.error())
            self.assertEqual(process.stdout.read(), b"")
            said.append(process.error().replace(name, "AGENT"))
        self.assertEqual(said[0], said[1], "the answer must not tell that the agent exists")
        self.assertIn("list", said[0])
        self.assertEqual(other.agent_names(), ["hidden"])

    def test_a_target_that_a_policy_forbids(self):
        policy = self.gateway.token("policy", "web-only", "--id", "11", "--type", "white",
                                    "--rule", "ip:127.0.0.0/8,port=80")
        process = self.gateway.client("guest", "--policy", policy).connect("home", "127.0.0.1:22")
        self.assertEqual(process.wait(30), Exit.policy_denied, process.tail())
        self.assertRegex(process.error(), "polic.*127.0.0.1:22")

    def test_nothing_above_has_harmed_the_gateway(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        with self.client.forward("home", server.target).connect() as sock:
            sock.sendall(b"alive")
            self.assertEqual(sock.recv(5), b"alive")
        self.assertEqual(self.gateway.process.stop(signal.SIGTERM), Exit.ok)
        self.gateway.start()


if __name__ == "__main__":
    main()

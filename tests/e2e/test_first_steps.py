"""The first five minutes: a gateway without a configuration, one line on each machine, a list."""

import re
import signal
import subprocess

from lab import (GATEWAY, GATEWAY6, JOIN_STRING, Agent, Client, Exit, Gateway, Scenario, TcpServer, echo, main,
                 start_all)


class FirstSteps(Scenario):
    def test_a_gateway_on_embedded_defaults_prints_lines_that_work_when_pasted(self):
        lab = self.lab
        folder, environment = lab.home("defaults")
        gateway = lab.start([lab.program("gateway")], "gateway-defaults", lab.gateway,
                            environment=environment, cwd=folder)

        def lines():
            text = gateway.output() + gateway.error()
            agent = re.search(rf"narrowlink-agent --join ({JOIN_STRING.pattern})", text)
            client = re.search(rf"narrowlink-client (?:join|--join) ({JOIN_STRING.pattern})", text)
            return agent and client and (agent[1], client[1])
        for_agent, for_client = gateway.until(lines, 10, "it prints the join lines")
        self.assertTrue(lab.gateway.listens(443), "root may use port 443")

        agent = Agent(lab, for_agent).start()
        client = Client(lab, for_client)
        agent.process.until(client.list, 20, "the first client sees the first agent")
        self.assertEqual(agent.process.stop(), Exit.ok)
        self.assertEqual(gateway.stop(), Exit.ok)


class Tokens(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def test_a_token_command_prints_one_word_and_nothing_else(self):
        for kind in ("agent", "client"):
            done = self.gateway.token_command(kind, "--name", f"one-word-{kind}")
            self.assertEqual(done.code, Exit.ok, done)
            self.assertRegex(done.out, rf"\A{JOIN_STRING.pattern}\n\Z")

    def test_a_person_sees_the_agents_in_three_ways(self):
        for arguments in (["list"], ["list", "-v"], ["l"]):
            done = self.client.run(*arguments)
            self.assertEqual(done.code, Exit.ok, done)
            self.assertIn("home", done.out)
        self.assertEqual([agent["name"] for agent in self.client.list()], ["home"])

    def test_a_joined_client_needs_no_join_string_any_more(self):
        lab, client = self.lab, self.gateway.client("joined")
        for arguments in (["join", client.join], ["list"]):
            done = lab.run([lab.program("client"), *arguments], lab.client,
                           environment=client.environment, cwd=client.folder)
            self.assertEqual(done.code, Exit.ok, done)
        self.assertIn("home", done.out)

    def test_connect_carries_bytes_both_ways_and_adds_none(self):
        server = TcpServer(self.lab, self.lab.agent, echo)
        for name in ("connect", "c"):
            process = self.client.start(name, "-n", "home", server.target, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
            out, _ = process.popen.communicate(b"exactly this", timeout=20)
            self.assertEqual(out, b"exactly this")
            self.assertEqual(process.wait(5), Exit.ok)

    def test_one_forward_command_serves_several_targets(self):
        lab = self.lab
        servers = [TcpServer(lab, lab.agent, lambda c, reply=reply: c.sendall(reply))
                   for reply in (b"first", b"second")]
        ports = [lab.client.free_port() for _ in servers]
        process = self.client.start("forward", "-n", "home",
                                    "-l", f"127.0.0.1:{ports[0]}", servers[0].target,
                                    "-l", f"127.0.0.1:{ports[1]}", servers[1].target)
        process.until(lambda: all(lab.client.listens(port) for port in ports), 5, "both listen")
        for port, reply in zip(ports, (b"first", b"second")):
            with lab.client.connect(("127.0.0.1", port), timeout=20) as sock:
                self.assertEqual(sock.recv(100), reply)
        self.assertEqual(process.stop(), Exit.ok)

    def test_a_newcomer_with_the_same_name_replaces_the_agent(self):
        lab = self.lab
        old = TcpServer(lab, lab.agent, lambda c: c.sendall(b"old"))
        TcpServer(lab, lab.stranger, lambda c: c.sendall(b"new"), port=old.port)

        def answer():
            process = self.client.connect("home", old.target)
            out, _ = process.popen.communicate(timeout=20)
            return out
        self.assertEqual(answer(), b"old")
        newcomer = Agent(lab, self.agent.join, "newcomer", namespace=lab.stranger).start()
        newcomer.process.until(lambda: answer() == b"new", 15, "the newcomer has taken the name")
        self.assertEqual(len(self.client.list()), 1)
        newcomer.process.stop()


class Ending(Scenario):
    def test_every_running_program_ends_with_0_within_two_seconds(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            gateway, agent, client = start_all(self.lab)
            server = TcpServer(self.lab, self.lab.agent, echo)
            forward = client.forward("home", server.target)
            sock = forward.connect()
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
            for process in (forward.process, agent.process, gateway.process):
                with self.subTest(program=process.name, signal=number):
                    self.assertEqual(process.stop(number, timeout=2), Exit.ok, process.tail())
            sock.close()

    def test_programs_end_while_the_gateway_is_out_of_reach(self):
        gateway, agent, client = start_all(self.lab, port=444)
        forward = client.forward("home", "127.0.0.1:1")
        gateway.kill()
        for process in (forward.process, agent.process):
            with self.subTest(program=process.name):
                self.assertEqual(process.stop(timeout=2), Exit.ok, process.tail())


class Ipv6(Scenario):
    def test_everything_works_over_ipv6_alone(self):
        lab = self.lab
        gateway = Gateway(lab, listen="[::]:443", public=f"[{GATEWAY6}]:443").start()
        for node in (lab.agent, lab.client):
            node.configure([f"route add unreachable {GATEWAY}/32"])
        gateway.agent().start()
        client = gateway.client().until_agent()
        server = TcpServer(lab, lab.agent, echo, "::1")
        with client.forward("home", server.target).connect() as sock:
            sock.sendall(b"six")
            self.assertEqual(sock.recv(3), b"six")
        done = client.run("doctor")
        self.assertEqual(done.code, Exit.ok, done)
        self.assertRegex(done.out, r"(?m)^ok +udp-ipv6 +all 4 probe ports of the gateway answer$")
        self.assertRegex(done.out, r"(?m)^ok +nat-ipv6 ")


if __name__ == "__main__":
    main()

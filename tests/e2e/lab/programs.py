"""The three programs under test, with the command lines and exit codes of docs/operations.md."""

import json
import re
import signal
import socket
import subprocess

from .errors import LabError, until
from .laboratory import GATEWAY


class Exit:
    """Exit codes of docs/operations.md."""

    ok = 0
    unexpected = 1
    usage = 2
    configuration = 3
    gateway_unreachable = 4
    token_refused = 5
    agent_unknown = 6
    policy_denied = 7
    target_refused = 8
    target_timed_out = 9
    target_not_resolved = 10
    address_in_use = 11
    connection_lost = 12
    target_unreachable = 13
    no_direct_path = 14
    unhealthy = 15


JOIN_STRING = re.compile(r"nl1\.[A-Za-z0-9_.-]+")


class Gateway:
    """narrowlink-gateway in the gateway namespace; survives kill() with the state it had.

    Where it listens is in `listen` or, when that is "", in the configuration.
    """

    def __init__(self, lab, port=443, listen=None, public=None, configuration=None, namespace=None):
        self.lab = lab
        self.port = port
        self.namespace = namespace or lab.gateway
        self.folder, self.environment = lab.home("gateway")
        self.state = self.folder / "state" / "gateway"
        self.process = None
        listen = f"0.0.0.0:{port}" if listen is None else listen
        self._arguments = ["--state", self.state, *(["--listen", listen] if listen else []),
                           "--public", public or f"{GATEWAY}:{port}"]
        if configuration is not None:
            file = self.folder / "gateway.yaml"
            file.write_text(configuration)
            self._arguments = ["-c", file, *self._arguments]

    def start(self):
        self.process = self.lab.start([self.lab.program("gateway"), *self._arguments], "gateway",
                                      self.namespace, environment=self.environment, cwd=self.folder)
        # It listens before it has written down its address, which tokens then lack.
        self.process.until(lambda: self.namespace.listens(self.port) and " ready " in self.process.error(), 10,
                           f"it listens on port {self.port}")
        return self

    def kill(self):
        """kill -9: no goodbye to anyone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def token_command(self, *arguments):
        return self.lab.run([self.lab.program("gateway"), "token", *arguments, "--state", self.state],
                            self.namespace, name=f"token-{arguments[0]}",
                            environment=self.environment, cwd=self.folder)

    def token(self, kind, name, *arguments):
        """A new join string (agent, client) or policy token."""
        done = self.token_command(kind, "--name", name, *arguments)
        if done.code != 0 or len(done.out.split()) != 1:
            raise LabError(f"token {kind} has to print one word: {done}")
        return done.out.strip()

    def tokens(self):
        done = self.token_command("list", "--json")
        if done.code != 0:
            raise LabError(str(done))
        return json.loads(done.out)

    def token_id(self, name):
        ids = [token["id"] for token in self.tokens() if token["name"] == name]
        if len(ids) != 1:
            raise LabError(f"one token named {name} expected, found {ids}")
        return ids[0]

    def agent(self, name="home", *arguments, **options):
        """Issues a token for an agent and returns the agent, not yet started."""
        return Agent(self.lab, self.token("agent", name, *arguments), name, **options)

    def client(self, name="laptop", *arguments, **options):
        return Client(self.lab, self.token("client", name, *arguments), name, **options)


class Agent:
    """narrowlink-agent behind its NAT."""

    def __init__(self, lab, join, name="home", namespace=None, configuration="", environment=None):
        self.lab = lab
        self.join = join
        self.name = name
        self.namespace = namespace or lab.agent
        self.folder, self.environment = lab.home(f"agent-{name}")
        self.environment.update(environment or {})
        self.state = self.folder / "state" / "agent"
        self.process = None
        self._arguments = [*(["--join", join] if join else []), "--state", self.state]
        if configuration:
            file = self.folder / "agent.yaml"
            file.write_text(configuration)
            self._arguments = ["-c", file, *self._arguments]

    def start(self, *arguments):
        self.process = self.lab.start(
            [self.lab.program("agent"), *self._arguments, *arguments], f"agent-{self.name}",
            self.namespace, environment=self.environment, cwd=self.folder)
        return self

    def run(self, timeout=30):
        """For an agent that is expected to give up."""
        return self.lab.run([self.lab.program("agent"), *self._arguments], self.namespace,
                            name=f"agent-{self.name}", timeout=timeout,
                            environment=self.environment, cwd=self.folder)


class Client:
    """narrowlink-client behind its NAT. Each command is a process of its own."""

    def __init__(self, lab, join, name="laptop", namespace=None, configuration="", environment=None):
        self.lab = lab
        self.join = join
        self.name = name
        self.namespace = namespace or lab.client
        self.join = join
        self.folder, self.environment = lab.home(f"client-{name}")
        self.environment.update(environment or {})
        self._options = ["--join", join] if join else []
        if configuration:
            file = self.folder / "client.yaml"
            file.write_text(configuration)
            self._options = ["-c", file]

    def command(self, *arguments):
        return [str(word) for word in
                (self.lab.program("client"), *self._options, *arguments)]

    def run(self, *arguments, timeout=60, **options):
        return self.lab.run(self.command(*arguments), self.namespace, timeout=timeout,
                            name=f"client-{arguments[0]}", environment=self.environment,
                            cwd=self.folder, **options)

    def start(self, *arguments, **options):
        return self.lab.start(self.command(*arguments), f"client-{arguments[0]}", self.namespace,
                              environment=self.environment, cwd=self.folder, **options)

    def connect(self, agent, target, *arguments):
        """`connect` with pipes as its standard input and output."""
        return self.start("connect", "-n", agent, *arguments, target, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)

    def forward(self, agent, target, *arguments, udp=False, port=None):
        return Forward(self, agent, target, udp, port, arguments)

    def list(self):
        done = self.run("list", "--json")
        if done.code != 0:
            raise LabError(str(done))
        return json.loads(done.out)

    def agent_names(self):
        return sorted(agent["name"] for agent in self.list())

    def until_agent(self, name="home", timeout=20):
        until(lambda: name in self.agent_names(), timeout, f"{self.name} sees agent {name}")
        return self


class Forward:
    """A running `forward`; `address` is where applications connect to."""

    def __init__(self, client, agent, target, udp, port, arguments=()):
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        self.namespace = client.namespace
        self.port = port or self.namespace.free_port(kind)
        self.address = ("127.0.0.1", self.port)
        self.process = client.start("forward", "-n", agent, *(["-u"] if udp else []), *arguments,
                                    "-l", f"127.0.0.1:{self.port}", target)
        self.process.until(lambda: self.namespace.listens(self.port, kind), 5,
                           f"it listens on port {self.port}")

    def connect(self, timeout=20):
        return self.namespace.connect(self.address, timeout)

    def udp(self, timeout=3):
        sock = self.namespace.open_socket(kind=socket.SOCK_DGRAM)
        sock.connect(self.address)
        sock.settimeout(timeout)
        return sock

    def stop(self):
        return self.process.stop()


def start_all(lab, agent_configuration="", **gateway_options):
    """What most scenarios begin with: a gateway, the agent `home`, and a client that sees it."""
    gateway = Gateway(lab, **gateway_options).start()
    agent = gateway.agent(configuration=agent_configuration).start()
    client = gateway.client()
    client.until_agent()
    return gateway, agent, client


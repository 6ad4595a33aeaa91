"""What is measured: each subject brings a near address through which the target can be reached."""

import base64
import getpass
import json
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from .children import Child, Children, Failure, wait_until

loopback = "127.0.0.1"
roles = ("gateway", "agent", "client")


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind((loopback, 0))
        return f"{loopback}:{probe.getsockname()[1]}"


def connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=2):
        return True


def greets(address: str) -> bool:
    """Is the target itself reached, and not only the near end of a tunnel?"""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=2) as stream:
        return stream.recv(1) == b"g"


class Target:
    """The server at the far end, shared by all subjects."""

    def __init__(self, children: Children, programs: Path, options: list[str]):
        self.child = children.start("bench_target", [programs / "bench_target", *options], stdout=subprocess.PIPE,
                                    text=True)
        line = self.child.process.stdout.readline()
        if not line.startswith("listening "):
            raise Failure("bench_target does not listen: " + self.child.last_words())
        self.address = line.split()[1]


class Subject:
    name: str
    title: str

    def __init__(self, children: Children, target: str):
        self.children = children
        self.target = target
        self.parts: dict[str, Child] = {}
        self.near = ""

    def start(self) -> None:
        """Returns when bytes have come through."""
        raise NotImplementedError

    def start_part(self, part: str, command: list, **popen) -> Child:
        self.parts[part] = self.children.start(f"{self.name} {part}", command, **popen)
        return self.parts[part]

    def check_running(self) -> None:
        for child in self.parts.values():
            child.check_running()

    def wait_ready(self, address: str, what: str) -> None:
        def ready() -> bool:
            self.check_running()
            return greets(address)
        try:
            wait_until(ready, 20, f"{self.title}: {what}")
        except Failure as failure:
            words = "; ".join(f"{part}: {child.last_words()}" for part, child in self.parts.items())
            raise Failure(f"{failure} ({words})") from None

    def wait_listening(self, address: str, what: str) -> None:
        def listening() -> bool:
            self.check_running()
            return connects(address)
        wait_until(listening, 10, f"{self.title}: {what}")

    def first_byte_command(self) -> list:
        """Connects standard input and output to the target."""
        raise NotImplementedError

    def stop(self) -> None:
        for child in reversed(self.parts.values()):
            self.children.stop(child)
        self.parts.clear()


class Bare(Subject):
    name = "bare"
    title = "bare loopback"

    def __init__(self, children: Children, target: str, programs: Path):
        super().__init__(children, target)
        self.programs = programs

    def start(self) -> None:
        self.near = self.target

    def first_byte_command(self) -> list:
        return [self.programs / "bench_load", "greet", "--to", self.target]


class OpenSsh(Subject):
    """`ssh -R` at the far side and `ssh -L` at the near side, both to one sshd in the middle, with Debian's defaults."""

    name = "openssh"
    title = "OpenSSH"

    def __init__(self, children: Children, target: str):
        super().__init__(children, target)
        self.folder = children.folder / "openssh"

    def start(self) -> None:
        self.start_gateway()
        self.far = free_address()
        self.near = free_address()
        self.start_part("ssh -R", [*self.ssh(), "-N", "-R", f"{self.far}:{self.target}", loopback])
        self.wait_ready(self.far, "ssh -R")
        self.start_part("ssh -L", [*self.ssh(), "-N", "-L", f"{self.near}:{self.far}", loopback])
        self.wait_ready(self.near, "ssh -L")

    def start_gateway(self) -> None:
        """Only the sshd in the middle."""
        self.folder.mkdir(exist_ok=True)
        self.middle = free_address()
        if not (self.folder / "host_key").exists():
            self.make_keys()
        self.write_configuration()
        self.start_part("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "sshd_config"])
        self.wait_listening(self.middle, "sshd")

    def make_keys(self) -> None:
        for key in ("host_key", "user_key"):
            self.children.output_of("ssh-keygen", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f",
                                                   self.folder / key], 20)
        (self.folder / "authorized_keys").write_text((self.folder / "user_key.pub").read_text())

    def write_configuration(self) -> None:
        host, _, port = self.middle.rpartition(":")
        (self.folder / "sshd_config").write_text(f"""\
ListenAddress {host}:{port}
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
LogLevel ERROR
""")
        public = (self.folder / "host_key.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{host}]:{port} {public[0]} {public[1]}\n")
        if getpass.getuser() == "root":
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without it

    def ssh(self, log_level: str = "ERROR") -> list:
        _, _, port = self.middle.rpartition(":")
        return ["ssh", "-F", "none", "-p", port, "-l", getpass.getuser(), "-i", self.folder / "user_key",
                "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
                "-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-o", "GlobalKnownHostsFile=none",
                "-o", "StrictHostKeyChecking=yes", "-o", "ExitOnForwardFailure=yes", "-o", f"LogLevel={log_level}"]

    def first_byte_command(self) -> list:
        return [*self.ssh(), "-W", self.far, loopback]

    def version(self) -> dict[str, str]:
        """What it is, and what it encrypts with when nobody chooses."""
        version = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.split(",")[0].strip()
        child = self.children.start("ssh -v", [*self.ssh("DEBUG1"), "-W", self.far, loopback],
                                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

        def cipher() -> str | None:
            found = re.search(r"kex: server->client cipher: (\S+)", child.log.read_text())
            return found[1] if found else None
        try:
            return {"version": version, "cipher": wait_until(cipher, 10, "ssh -v")}
        finally:
            self.children.stop(child)


class Narrowlink(Subject):
    """gateway, agent and client as in the five-minute tutorial; the client runs `forward`, and stays on the relay over
    WebSocket."""

    name = "narrowlink"
    title = "Narrowlink"
    agent_name = "bench"

    def __init__(self, children: Children, target: str, binaries: Path):
        super().__init__(children, target)
        self.binaries = binaries

    def binary(self, role: str) -> Path:
        return self.binaries / f"narrowlink-{role}"

    def start(self) -> None:
        self.start_gateway()
        self.near = free_address()
        agent_join = self.issue("agent", self.agent_name)
        self.client_join = self.issue("client", "bench-client")
        self.start_part("agent", [self.binary("agent"), "--join", agent_join, "--state", self.state / "agent"])
        self.wait_listed()
        # Over UDP it is another relay, which `bench/run --direct` compares with this one.
        self.configuration = self.state / "client.yaml"
        self.configuration.write_text("relay: websocket\n")
        self.start_part("client", [self.binary("client"), "-c", self.configuration, "--join", self.client_join, "forward",
                                   "--relay", "-n", self.agent_name, "-l", self.near, self.target])
        self.wait_ready(self.near, "forward")

    def start_gateway(self) -> None:
        """With a state folder of its own: each start is a first start."""
        self.state = Path(tempfile.mkdtemp(prefix="narrowlink-", dir=self.children.folder))
        self.public = free_address()
        self.start_part("gateway", [self.binary("gateway"), "--state", self.state / "gateway", "--listen", self.public,
                                    "--public", self.public], stdout=subprocess.DEVNULL)
        self.wait_listening(self.public, "the gateway")

    def issue(self, role: str, name: str) -> str:
        return self.children.output_of(f"token {role}", [self.binary("gateway"), "token", role, "--name", name, "--state",
                                                         self.state / "gateway"], 20).strip()

    def wait_listed(self) -> None:
        command = [self.binary("client"), "--join", self.client_join, "list", "--json"]

        def listed() -> bool:
            self.check_running()
            try:
                agents = json.loads(self.children.output_of("client list", command, 10))
            except (Failure, ValueError) as error:
                raise OSError(str(error)) from None  # not yet; wait_until tells if it stays so
            return any(agent["name"] == self.agent_name for agent in agents)
        wait_until(listed, 20, "Narrowlink: the agent in the client's list")

    def first_byte_command(self) -> list:
        return [self.binary("client"), "-c", self.configuration, "--join", self.client_join, "connect", "--relay", "-n",
                self.agent_name, self.target]


def gateway_and_token(join: str) -> tuple[str, str]:
    """The gateway's URL and the bearer token in a join string (docs/protocol.md)."""
    word = join.removeprefix("nl1.").split(".")[0]
    text = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode("utf-8", "replace").replace("\\/", "/")
    url = re.search(r"wss?://[^\"\\]+", text)
    token = re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", text)
    if not url or not token:
        raise Failure("a join string without gateway or token; has its form changed?")
    return url[0], token[0]

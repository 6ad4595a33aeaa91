"""One network namespace: created with ip-netns(8), entered by a thread with setns(2)."""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from .errors import LabError

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_NAME = re.compile(r"nl(\d+)-")


def require_root():
    """Fails with one sentence where no namespace can be made."""
    if os.geteuid() != 0:
        raise SystemExit("e2e: network namespaces need root; run the tests as root, e.g. with sudo")
    if shutil.which("ip") is None or shutil.which("nft") is None:
        raise SystemExit("e2e: ip and nft are missing; run scripts/test once, it installs them")
    probe = f"nl{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"e2e: this machine refuses network namespaces ({made.stderr.strip()}); "
                         "run the tests where CAP_SYS_ADMIN and CAP_NET_ADMIN are allowed")
    subprocess.run(["ip", "netns", "delete", probe], check=True)


def remove_stale():
    """Removes what test processes left that died without cleaning up (kill -9)."""
    for entry in _left_in("/run/netns"):
        subprocess.run(["ip", "netns", "delete", entry.name], stderr=subprocess.DEVNULL)
        shutil.rmtree(Path("/etc/netns", entry.name), ignore_errors=True)
    for entry in _left_in(tempfile.gettempdir()):
        shutil.rmtree(entry, ignore_errors=True)


def _left_in(folder):
    """Entries that carry the id of a process that is gone."""
    entries = list(Path(folder).iterdir()) if Path(folder).is_dir() else []
    return [entry for entry in entries
            if (match := _NAME.match(entry.name)) and not _is_alive(match[1])]


def _is_alive(process):
    try:
        # A zombie has ended, too, and where nobody reaps it stays for ever.
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Namespace:
    """A machine of the lab. Its name carries our process id, so parallel runs never meet."""

    def __init__(self, role):
        self.role = role
        self.name = f"nl{os.getpid()}-{role}"
        run(["ip", "netns", "add", self.name])
        self._descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        self.configure(["link set lo up"])
        with self.entered():
            # Without duplicate address detection an IPv6 address can be used at once.
            for key in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{key}/accept_dad").write_text("0")
                Path(f"/proc/sys/net/ipv6/conf/{key}/disable_ipv6").write_text("0")
                Path(f"/proc/sys/net/ipv4/conf/{key}/rp_filter").write_text("0")

    def remove(self):
        os.close(self._descriptor)
        subprocess.run(["ip", "netns", "delete", self.name], stderr=subprocess.DEVNULL)
        shutil.rmtree(Path("/etc/netns", self.name), ignore_errors=True)

    def configure(self, lines):
        """Runs lines of ip(8) in here."""
        run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n")

    def firewall(self, rules):
        """Runs a script of nft(8) in here."""
        run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], input=rules)

    def forward_packets(self):
        with self.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")

    def resolve_with(self, server):
        """Makes programs started in here ask this DNS server, and only it (see ip-netns(8))."""
        folder = Path("/etc/netns", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:1 attempts:2\n")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in here meanwhile; a socket made in here stays in here."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(self._descriptor)
            try:
                yield self
            finally:
                _set_namespace(home)
        finally:
            os.close(home)

    def open_socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def connect(self, address, timeout=10, source=None):
        """A TCP connection from here to (host, port); from `source`, where we have several addresses."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = self.open_socket(family)
        sock.settimeout(timeout)
        try:
            if source:
                sock.bind((source, 0))
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    def free_port(self, kind=socket.SOCK_STREAM):
        with self.open_socket(kind=kind) as sock:
            sock.bind(("127.0.0.1", 0))
            return sock.getsockname()[1]

    def listens(self, port, kind=socket.SOCK_STREAM):
        """Is `port` bound in here, for TCP listening?"""
        names = ("tcp", "tcp6") if kind == socket.SOCK_STREAM else ("udp", "udp6")
        with self.entered():
            tables = [Path("/proc/thread-self/net", name).read_text() for name in names]
        for table in tables:
            for line in table.splitlines()[1:]:
                fields = line.split()
                local, state = fields[1], fields[3]
                if int(local.rpartition(":")[2], 16) == port and state in ("0A", "07"):
                    return True
        return False

    def connections(self, port):
        """The local (address, port) pairs of TCP connections from here to remote `port`."""
        with self.entered():
            table = Path("/proc/thread-self/net/tcp").read_text()
        rows = (line.split() for line in table.splitlines()[1:])
        return {row[1] for row in rows if int(row[2][-4:], 16) == port and row[3] == "01"}

    def established(self, port):
        """How many TCP connections to local `port` are open in here."""
        with self.entered():
            table = Path("/proc/thread-self/net/tcp").read_text()
        rows = (line.split() for line in table.splitlines()[1:])
        return sum(int(row[1][-4:], 16) == port and row[3] == "01" for row in rows)


def run(command, input=None):
    done = subprocess.run(command, input=input, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}\n{input or ''}")
    return done.stdout


def _set_namespace(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")

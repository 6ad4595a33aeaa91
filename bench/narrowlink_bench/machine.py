"""What the numbers were measured on, and a network of our own to measure in."""

import ctypes
import fcntl
import functools
import os
import platform
import socket
import struct
import subprocess
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

repository = Path(__file__).resolve().parents[2]
congestion_path = Path("/proc/sys/net/ipv4/tcp_congestion_control")
debian_python = "/usr/bin/python3"  # the one that Debian's python3-matplotlib belongs to


def enter_own_network() -> str:
    """Moves this process and its children to a network of nothing but loopback; returns one sentence about it.

    Cubic instead of the system's choice because bbr paces, and costs three times on loopback. The kernel lets no
    network but the first choose a "restricted" default such as cubic, but a route may name one, and then it
    holds for every socket, of all subjects alike. Reno is always allowed and on loopback, without loss, the same.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"host network ({reason}), TCP {system_congestion()} for the tunnels, cubic for the load programs"
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    bring_loopback_up()
    return f"own network namespace, TCP {choose_congestion()} on every socket"


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def choose_congestion() -> str:
    try:
        for destination in ("127.0.0.0/8", "127.0.0.1"):
            subprocess.run(["ip", "route", "replace", "table", "local", "local", destination, "dev", "lo", "proto",
                            "kernel", "scope", "host", "src", "127.0.0.1", "congctl", "cubic"],
                           check=True, capture_output=True)
        return "cubic"
    except (OSError, subprocess.CalledProcessError):
        pass
    for name in ("cubic", "reno"):
        try:
            congestion_path.write_text(name)
            return name
        except OSError:
            continue
    return system_congestion()


def system_congestion() -> str:
    return congestion_path.read_text().strip()


def describe() -> dict:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    kernel = ".".join(platform.release().split(".")[:2])
    return {"processor": model, "processors": os.cpu_count(), "memory_gib": round(memory),
            "system": release, "kernel": f"Linux {kernel}"}


def commit() -> str:
    """The commit of this checkout; a + says that files differ from it."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True, text=True).stdout
    try:
        changed = git("status", "--porcelain", "--untracked-files=no").strip()
        return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@functools.cache
def ensure_matplotlib(say) -> bool:
    """Installs python3-matplotlib by name where it is missing and may be installed."""
    if subprocess.run([debian_python, "-c", "import matplotlib"], capture_output=True).returncode == 0:
        return True
    command = ["apt-get", "install", "-y", "--no-install-recommends", "python3-matplotlib"]
    if os.getuid() != 0:
        command = ["sudo", "-n", *command]
    say("installing python3-matplotlib for the picture")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        if subprocess.run(command, env=environment, capture_output=True).returncode == 0:
            return True
    except OSError:
        pass
    say("no picture: " + " ".join(command) + " failed")
    return False


class Processors:
    """Tells how much of the machine somebody else used during the run."""

    def __init__(self):
        self.first = self.read()

    @staticmethod
    def read() -> tuple[float, float, float]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, idle, waiting, interrupt, soft_interrupt, stolen = fields
        times = os.times()
        ours = (times.user + times.system + times.children_user + times.children_system) * os.sysconf("SC_CLK_TCK")
        return user + nice + system + interrupt + soft_interrupt - ours, stolen, sum(fields)

    def used_by_others(self) -> dict[str, float]:
        """Shares of all processor time since construction; call when all children are waited for."""
        others, stolen, total = (now - then for now, then in zip(self.read(), self.first))
        return {"other_processes": max(0.0, others / total), "stolen": stolen / total}

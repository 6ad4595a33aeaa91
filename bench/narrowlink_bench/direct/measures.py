"""The measurements of direct paths. Each records samples; nothing is judged or averaged here."""

import contextlib
import shutil
import subprocess
from dataclasses import dataclass

from lab import LabError

from ..children import Failure
from ..measures import Recorder, transfers
from . import stalls, switches
from .places import Loopback, Wire
from .subjects import BareQuic, Narrowlink, Nodes, Tcp, WireGuard

groups = ("throughput", "relays", "first-direct", "stalls")
delays = (0, 20, 100)  # one way, from client to agent, in ms
IP_AND_UDP = 28  # bytes of the headers of IPv4 and UDP
LARGEST_MTU = 65_536  # what loopback has unless told otherwise; more than QUIC packets can have


@dataclass
class Plan:
    """How much of everything."""

    runs: int = 3
    seconds: float = 2.0
    first_direct: int = 10
    stall_runs: int = 3
    flaps: int = 5

    @staticmethod
    def quick() -> "Plan":
        return Plan(runs=1, seconds=1.0, first_direct=2, stall_runs=1, flaps=1)


class DirectBench(Recorder):
    """`programs` are those of the benchmark, `binaries` has Narrowlink's, and quic_bare in its folder bench."""

    errors = (*Recorder.errors, LabError, subprocess.SubprocessError)

    def __init__(self, plan, programs, binaries, say):
        super().__init__(plan.runs, say)
        self.plan, self.programs, self.binaries = plan, programs, binaries
        self.folders = [programs, binaries]
        self.mtus: dict[str, int] = {}  # of the direct path, in bytes of UDP payload

    def measure(self, wanted):
        if "throughput" in wanted:
            for mtu in (1500, 9000):
                with self.place(Wire, f"veth{mtu}", mtu) as lab:
                    self.direct(lab, f"veth-{mtu}/", mtu - IP_AND_UDP, [Tcp, WireGuard])
                with self.place(Loopback, mtu) as lab:
                    self.direct(lab, f"loopback-{mtu}/", mtu - IP_AND_UDP, [Tcp])
            with self.place(Loopback, LARGEST_MTU) as lab:
                self.direct(lab, f"loopback-{LARGEST_MTU}/", None, [Tcp])
        if "relays" in wanted:
            with self.place(Wire, "relays", 1500) as lab:
                self.relays(lab)
        if "first-direct" in wanted:
            for delay in delays:
                self.attempt("narrowlink", f"time to a direct path at {delay} ms",
                             lambda delay=delay: switches.time_to_direct(self, delay))
        if "stalls" in wanted:
            for run in range(1, self.plan.stall_runs + 1):
                self.attempt("narrowlink", "stalls", lambda run=run: stalls.stalls(self, run))
                self.attempt("narrowlink", "stalls of relays", lambda run=run: stalls.relay_stalls(self, run))
            self.attempt("narrowlink", "stalls when UDP flaps", lambda: stalls.flapping(self, self.plan.flaps))

    def place(self, kind, *arguments):
        lab = kind(self.binaries, *arguments)
        self.folders.append(lab.folder)
        return contextlib.closing(lab)

    # Throughput, and what it costs -----------------------------------------------------------------------------------

    def direct(self, lab, place, payload, others):
        """`payload`: bytes of UDP payload that the packets of bare QUIC have; None: as many as Narrowlink's."""
        narrowlink = Narrowlink(lab, self.programs, Nodes(lab, self.programs), "direct")
        subjects = self.start_all([narrowlink, *(kind(lab, self.programs) for kind in others)])
        if payload is None and narrowlink in subjects:
            payload = narrowlink.status()["mtu"]
        if payload:
            subjects += self.start_all([BareQuic(lab, self.programs, self.binaries / "bench" / "quic_bare", payload)])
        self.interleave_transfers(subjects, place)
        if narrowlink.mtu:
            self.mtus[place] = narrowlink.mtu

    def relays(self, lab):
        nodes = Nodes(lab, self.programs)
        subjects = self.start_all([Narrowlink(lab, self.programs, nodes, way) for way in ("websocket", "udp")])
        self.interleave_transfers(subjects, "relays/")

    def start_all(self, subjects):
        started = []
        for subject in subjects:
            self.say(f"{subject.lab.name}: starting {subject.title}")
            try:
                subject.start()
                started.append(subject)
            except self.errors as failure:
                self.note_failure(subject.name, "start", first_line(failure))
        return started

    def interleave_transfers(self, subjects, place):
        def throughput(subject, run, streams, direction):
            if subject.covers(streams, direction):
                self.record_transfer(subject, run, streams, direction,
                                     *subject.transfer(streams, direction, self.plan.seconds), place)
        self.interleave(subjects, self.plan.runs, throughput, [*transfers])

    def attempt(self, subject, what, measurement):
        try:
            measurement()
        except self.errors as failure:
            self.note_failure(subject, what, first_line(failure))

    def results(self):
        return super().results() | {"mtus": self.mtus, "versions": versions()}


def first_line(failure):
    """A failure of the laboratory brings the logs of its programs with it, which are not for publishing."""
    return Failure(str(failure).partition("\n")[0])


def versions():
    """Of what Narrowlink is compared with, by the distribution's names."""
    if not shutil.which("dpkg-query"):
        return {}
    packages = ("iperf3", "wireguard-go", "libngtcp2-dev")
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages], capture_output=True,
                          text=True)
    return dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)

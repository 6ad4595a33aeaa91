"""The measurements. Each records samples; nothing is judged or averaged here."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .children import Child, Children, Failure, cpu_seconds, memory_kib, wait_until
from .subjects import (Bare, Narrowlink, OpenSsh, Subject, Target, free_address, gateway_and_token, greets, loopback,
                       roles)

groups = ("throughput", "round-trip", "first-byte", "idle-nodes", "streams", "sizes")
transfers = tuple((streams, direction) for streams in (1, 16) for direction in ("up", "down"))


@dataclass
class Plan:
    """How much of everything."""

    runs: int = 3
    seconds: float = 5.0
    rounds: int = 5_000
    first_bytes: int = 10
    idle_nodes: int = 1_000
    ssh_idle_nodes: int = 20
    streams: int = 500
    settle: float = 10.0  # so that a few keepalives have passed before memory is read

    @staticmethod
    def quick() -> "Plan":
        return Plan(runs=1, seconds=1.5, rounds=1_000, first_bytes=3, idle_nodes=100, ssh_idle_nodes=5, streams=50,
                    settle=2.0)


@dataclass
class Sample:
    measure: str
    subject: str
    unit: str
    value: float
    run: int


class Recorder:
    """Samples, and what could not be measured. Who measures derives from it."""

    errors = (Failure, OSError, ValueError)  # what may keep a measurement from being made

    def __init__(self, runs: int, say):
        self.runs = runs
        self.say = say
        self.samples: list[Sample] = []
        self.failures: list[str] = []
        self.folders: list[Path] = []

    def interleave(self, subjects: list, runs: int, measurement, variants: list[tuple]) -> None:
        """All subjects take turns, each time with another in front, so that what disturbs the machine hits all."""
        for run in range(1, runs + 1):
            for variant in variants:
                shift = run % max(1, len(subjects))
                for subject in subjects[shift:] + subjects[:shift]:
                    self.attempt(subject.name, measurement.__name__,
                                 lambda subject=subject, variant=variant, run=run: measurement(subject, run, *variant))
                    time.sleep(0.2)

    def attempt(self, subject: str, what: str, measurement) -> None:
        try:
            measurement()
        except self.errors as failure:
            self.note_failure(subject, what, failure)

    def note_failure(self, subject: str, what: str, reason: Exception) -> None:
        words = f"{subject}, {what}: {reason}"
        for folder in self.folders:
            words = words.replace(f"{folder}/", "")  # results are published; paths of this machine mean nothing there
        self.failures.append(words)
        self.say("FAILED " + self.failures[-1])

    def record(self, subject: str, measure: str, unit: str, value: float, run: int = 1) -> None:
        self.samples.append(Sample(measure, subject, unit, value, run))

    def record_transfer(self, subject, run: int, streams: int, direction: str, result: dict, spent: dict[str, float],
                        place: str = "") -> None:
        """Throughput, and CPU per GiB: `spent` is that of each process in seconds. `place` goes before the names."""
        gibibytes = result["bytes"] / 2**30
        if gibibytes == 0:
            raise Failure("not one byte came through")
        variant = f"{streams}.{direction}"
        self.record(subject.name, f"{place}throughput.{variant}", "Gbit/s", result["gigabits_per_second"], run)
        for part, seconds in spent.items():
            self.record(subject.name, f"{place}cpu.{variant}.{part}", "s/GiB", seconds / gibibytes, run)
        cost = ""
        if spent:
            total = sum(spent.values()) / gibibytes
            self.record(subject.name, f"{place}cpu.{variant}", "s/GiB", total, run)
            cost = f", {total:.2f} CPU s/GiB"
        self.say(f"run {run}/{self.runs}, {place}{transfer_label(streams, direction)}, {subject.title}: "
                 f"{result['gigabits_per_second']:.2f} Gbit/s{cost}")

    def results(self) -> dict:
        return {"samples": [asdict(sample) for sample in self.samples], "failures": self.failures}


def transfer_label(streams: int, direction: str) -> str:
    return f"{streams} stream{'s' if streams > 1 else ''} {direction}"


class Bench(Recorder):
    def __init__(self, plan: Plan, subjects: list[str], children: Children, programs: Path, binaries: Path,
                 load_options: list[str], say):
        super().__init__(plan.runs, say)
        self.plan = plan
        self.names = subjects
        self.children = children
        self.programs = programs
        self.binaries = binaries
        self.load_options = load_options
        self.folders = [children.folder, programs, binaries]
        self.openssh: dict[str, str] = {}
        self.target = Target(children, programs, load_options)

    def measure(self, wanted: list[str]) -> None:
        if {"throughput", "round-trip", "first-byte"} & set(wanted):
            subjects = self.start_all()
            if "throughput" in wanted:
                self.interleave(subjects, self.plan.runs, self.throughput, [*transfers])
            if "round-trip" in wanted:
                self.interleave(subjects, self.plan.runs, self.round_trip, [()])
            if "first-byte" in wanted:
                self.interleave(subjects, self.plan.first_bytes, self.first_byte, [()])
            for subject in subjects:
                subject.stop()
        # Memory is read from processes that have done nothing else.
        if "idle-nodes" in wanted:
            self.attempt("narrowlink", "idle nodes", self.narrowlink_idle_nodes)
            self.attempt("openssh", "idle nodes", self.openssh_idle_nodes)
        if "streams" in wanted:
            for name in ("narrowlink", "openssh"):
                self.attempt(name, "idle streams", lambda name=name: self.idle_streams(name))
        if "sizes" in wanted:
            self.attempt("narrowlink", "sizes", self.sizes)

    def make(self, name: str) -> Subject:
        if name == "bare":
            return Bare(self.children, self.target.address, self.programs)
        if name == "openssh":
            return OpenSsh(self.children, self.target.address)
        return Narrowlink(self.children, self.target.address, self.binaries)

    def start_all(self) -> list[Subject]:
        started = []
        for name in self.names:
            subject = self.make(name)
            self.say(f"starting {subject.title}")
            try:
                subject.start()
                if isinstance(subject, OpenSsh):
                    self.openssh = subject.version()
                started.append(subject)
            except (Failure, OSError) as failure:
                self.note_failure(name, "start", failure)
                subject.stop()
        return started

    def attempt(self, subject: str, what: str, measurement) -> None:
        if subject in self.names:
            super().attempt(subject, what, measurement)

    def load(self, mode: str, *words, seconds: float) -> dict:
        return json.loads(self.children.output_of("bench_load", [self.programs / "bench_load", mode, *words], seconds))

    # Throughput, and what it costs -----------------------------------------------------------------------------------

    def throughput(self, subject: Subject, run: int, streams: int, direction: str) -> None:
        processes = {part: child.pid for part, child in subject.parts.items()}
        before = {part: cpu_seconds(pid) for part, pid in processes.items()}
        result = self.load("throughput", "--to", subject.near, "--streams", streams, "--direction", direction,
                           "--milliseconds", int(self.plan.seconds * 1000), *self.load_options,
                           seconds=self.plan.seconds * 4 + 60)
        spent = {part: cpu_seconds(pid) - before[part] for part, pid in processes.items()}
        for child in subject.parts.values():
            child.check_running()

        self.record_transfer(subject, run, streams, direction, result, spent)

    # Time ------------------------------------------------------------------------------------------------------------

    def round_trip(self, subject: Subject, run: int) -> None:
        result = self.load("round-trip", "--to", subject.near, "--rounds", self.plan.rounds, *self.load_options,
                           seconds=120)
        for quantile in ("median", "p99"):
            self.record(subject.name, f"round_trip.{quantile}", "µs", result[quantile], run)
        self.say(f"run {run}/{self.plan.runs}, round trip of 1 byte, {subject.title}: median {result['median']:.0f} µs, "
                 f"p99 {result['p99']:.0f} µs")

    def first_byte(self, subject: Subject, run: int) -> None:
        result = self.load("first-byte", *subject.first_byte_command(), seconds=60)
        self.record(subject.name, "first_byte", "ms", result["milliseconds"], run)
        self.say(f"run {run}/{self.plan.first_bytes}, command to first byte, {subject.title}: "
                 f"{result['milliseconds']:.1f} ms")

    # Memory ----------------------------------------------------------------------------------------------------------

    def record_growth(self, subject: str, measure: str, before: dict, after: dict, count: int) -> None:
        for kind in ("rss", "pss"):
            self.record(subject, f"{measure}.{kind}", "KiB", (after[kind] - before[kind]) / count)

    def narrowlink_idle_nodes(self) -> None:
        warm_up = 20  # what the first sessions cost once is no cost per node
        narrowlink = self.make("narrowlink")
        try:
            narrowlink.start_gateway()
            self.say(f"issuing {self.plan.idle_nodes + warm_up} tokens")
            joins = [narrowlink.issue("agent", f"idle-{i}") for i in range(self.plan.idle_nodes + warm_up)]
            crowd = Crowd(self.children, [gateway_and_token(join) for join in joins])
            try:
                before, after = self.grow(narrowlink.parts["gateway"], crowd, warm_up, self.plan.idle_nodes)
            finally:
                self.children.stop(crowd.child)
        finally:
            narrowlink.stop()
        self.record_growth("narrowlink", "idle_node", before, after, self.plan.idle_nodes)
        self.say(f"{self.plan.idle_nodes} idle nodes, Narrowlink: gateway RSS {before['rss'] / 1024:.1f} -> "
                 f"{after['rss'] / 1024:.1f} MiB")

    def openssh_idle_nodes(self) -> None:
        openssh = self.make("openssh")
        try:
            openssh.start_gateway()
            crowd = SshCrowd(self.children, openssh)
            try:
                before, after = self.grow(openssh.parts["sshd"], crowd, 1, self.plan.ssh_idle_nodes)
            finally:
                crowd.stop()
        finally:
            openssh.stop()
        self.record_growth("openssh", "idle_node", before, after, self.plan.ssh_idle_nodes)
        self.say(f"{self.plan.ssh_idle_nodes} idle nodes, OpenSSH: sshd PSS {before['pss'] / 1024:.1f} -> "
                 f"{after['pss'] / 1024:.1f} MiB")

    def grow(self, gateway: Child, crowd, first: int, more: int) -> tuple[dict, dict]:
        crowd.add(first)
        time.sleep(self.plan.settle)
        before = memory_kib(gateway.pid)
        self.say(f"connecting {more} idle nodes")
        crowd.add(more)
        time.sleep(self.plan.settle)
        crowd.add(0)  # fails if one has been lost
        gateway.check_running()
        return before, memory_kib(gateway.pid)

    def idle_streams(self, name: str) -> None:
        subject = self.make(name)
        holders: list[Child] = []
        try:
            subject.start()
            with_few = self.hold(subject, 10, holders)
            self.say(f"opening {self.plan.streams} idle streams through {subject.title}")
            with_many = self.hold(subject, self.plan.streams, holders)
        finally:
            for holder in holders:
                self.children.stop(holder)
            subject.stop()
        for part in with_few:
            self.record_growth(name, f"stream.{part}", with_few[part], with_many[part], self.plan.streams)
        growth = ", ".join(f"{part} {(with_many[part]['rss'] - with_few[part]['rss']) / self.plan.streams:.1f}"
                           for part in with_few)
        self.say(f"{self.plan.streams} idle streams, {subject.title}: KiB of RSS each: {growth}")

    def hold(self, subject: Subject, streams: int, holders: list[Child]) -> dict[str, dict]:
        """Opens this many further streams, which stay open; returns the memory of each part then."""
        child = self.children.start("bench_load hold", [self.programs / "bench_load", "hold", "--to", subject.near,
                                                        "--streams", streams],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(child)
        if child.process.stdout.readline() != "ready\n":
            raise Failure("the streams did not open: " + child.last_words())
        time.sleep(self.plan.settle / 2)
        for part in subject.parts.values():
            part.check_running()
        return {part: memory_kib(owner.pid) for part, owner in subject.parts.items()}

    # Sizes -----------------------------------------------------------------------------------------------------------

    def sizes(self) -> None:
        for role in roles:
            built = self.binaries / f"narrowlink-{role}"
            stripped = self.children.folder / f"{role}.stripped"
            self.children.output_of("strip", ["strip", "-o", stripped, built], 60)
            self.record("narrowlink", f"size.{role}.built", "MiB", built.stat().st_size / 2**20)
            self.record("narrowlink", f"size.{role}.stripped", "MiB", stripped.stat().st_size / 2**20)

    def results(self) -> dict:
        return super().results() | {"openssh": self.openssh}


class Crowd:
    """Idle Narrowlink agents, all in one light process."""

    def __init__(self, children: Children, logins: list[tuple[str, str]]):
        self.expected = 0
        self.child = children.start("idle_nodes", [sys.executable, Path(__file__).with_name("idle_nodes.py")],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.tell(json.dumps(logins))

    def tell(self, line: str) -> None:
        self.child.process.stdin.write(line + "\n")
        self.child.process.stdin.flush()

    def add(self, count: int) -> None:
        self.expected += count
        self.tell(str(count))
        if self.child.process.stdout.readline() != f"connected {self.expected}\n":
            self.child.process.wait(5)
            raise Failure(self.child.last_words())


class SshCrowd:
    """Idle far sides of OpenSSH: an `ssh -N -R` each, as it is used today."""

    def __init__(self, children: Children, openssh: OpenSsh):
        self.children = children
        self.openssh = openssh
        self.sessions: list[Child] = []

    def add(self, count: int) -> None:
        for session in self.sessions:
            session.check_running()
        for _ in range(count):
            far = free_address()
            self.sessions.append(self.children.start(
                f"ssh idle {len(self.sessions)}",
                [*self.openssh.ssh(), "-N", "-R", f"{far}:{self.openssh.target}", loopback]))
            wait_until(lambda far=far: greets(far), 20, "OpenSSH: an idle ssh -R")

    def stop(self) -> None:
        for session in self.sessions:
            self.children.stop(session)

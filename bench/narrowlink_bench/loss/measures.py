"""Throughput at several shares of lost packets. Records samples; nothing is judged or averaged here."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from lab import until

from ..direct.measures import DirectBench, versions
from ..direct.subjects import Nodes
from ..measures import Recorder
from .place import DIRECTIONS, MTU, RATE, ROUND_TRIP, LossyLink
from .subjects import BareQuic, Narrowlink, Tcp

groups = ("0", "1", "5")  # percent of the packets, in each direction
PAYLOAD = MTU - 28  # bytes of UDP payload, without the headers of IPv4 and UDP
SEGMENT = 16_368  # the product's largest_packet (quic::Connection::Config), that of the WebSocket
most_overflow = 1e-4  # of the packets; more would be a loss that nobody has asked for
available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@dataclass
class Plan:
    runs: int = 3
    seconds: float = 2.0  # a relay that is slow takes several times as long to hand out what it holds

    @staticmethod
    def quick() -> "Plan":
        return Plan(runs=1, seconds=1.0)


class LossBench(DirectBench):
    """`programs` are those of the benchmark, `binaries` has Narrowlink's, and quic_bare in its folder bench."""

    def __init__(self, plan, programs, binaries, say):
        super().__init__(plan, programs, binaries, say)
        self.links: dict[str, dict] = {}  # by percent: what was counted on the client's link

    def measure(self, wanted):
        with self.place(LossyLink) as lab:
            subjects = self.start_all(self.subjects(lab))
            for direct in (subject for subject in subjects if getattr(subject, "way", "") == "direct"):
                # Its search for the largest packet is over, and measures nothing of the losses.
                self.attempt(direct.name, "start", lambda direct=direct: until(
                    lambda: direct.status()["mtu"] == PAYLOAD, 20, f"packets are of {PAYLOAD} bytes"))
            for percent in wanted:
                lab.set_loss(int(percent))
                self.interleave(subjects, self.plan.runs, self.throughput, [(percent,)])
                self.count(lab, percent)

    def subjects(self, lab):
        nodes = Nodes(lab, self.programs)
        congestions = [name for name in ("cubic", "bbr") if name in available.read_text().split()]
        return [*(Tcp(lab, self.programs, name) for name in congestions),
                *(Narrowlink(lab, self.programs, nodes, "websocket", name) for name in congestions),
                *(Narrowlink(lab, self.programs, nodes, way) for way in ("udp", "direct")),
                Narrowlink(lab, self.programs, nodes.with_congestion("cubic"), "direct"),
                *(BareQuic(lab, self.programs, self.binaries / "bench" / "quic_bare", PAYLOAD, name, segment)
                  for name, segment in (("cubic", PAYLOAD), ("cubic", SEGMENT), ("bbr", SEGMENT)))]

    def throughput(self, subject, run, percent):
        result, _ = subject.transfer(1, "down", self.plan.seconds)
        value = result["gigabits_per_second"] * 1_000
        self.record(subject.name, f"loss-{percent}/throughput", "Mbit/s", value, run)
        self.say(f"{percent} % loss, run {run}/{self.runs}, {subject.name}: {value:.1f} Mbit/s")

    def count(self, lab, percent):
        counted = lab.counted()
        self.links[percent] = counted
        faults = []
        if counted["trains"]:
            faults.append(f"{counted['trains']} packets were longer than {MTU} bytes: not only single ones were lost")
        if counted["overflow"] > most_overflow * (counted["packets.up"] + counted["packets.down"]):
            faults.append(f"{counted['overflow']} more packets were lost because the delay line was too slow")
        if int(percent) and not all(counted[f"lost.{direction}"] for direction in DIRECTIONS):
            faults.append("nothing was lost")
        for fault in faults:
            self.note_failure("network", f"{percent} % loss", fault)

    def results(self):
        return Recorder.results(self) | {"links": self.links, "round_trip": ROUND_TRIP, "rate": RATE,
                                           "versions": versions()}

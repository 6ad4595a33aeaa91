"""What bench/run --direct makes of its samples: medians with their spread, how the aims stand, and a page."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from narrowlink_bench import documents  # noqa: E402
from narrowlink_bench.direct import report  # noqa: E402

DIRECT, RUNS = "narrowlink-direct", 3


def samples(measure, subject, *values):
    return [{"measure": measure, "subject": subject, "unit": "", "value": value, "run": run}
            for run, value in enumerate(values, 1)]


def everything():
    """Samples that meet every aim."""
    found = []
    for place in report.places:
        found += samples(f"{place}throughput.1.up", "quic", 10, 12, 11)
        for direction in ("up", "down"):
            found += samples(f"{place}throughput.1.{direction}", DIRECT, 6, 5, 7)
            found += samples(f"{place}cpu.1.{direction}", DIRECT, 2, 2.5, 3)
    for delay in report.delays:
        for name in ("first_byte", "first_direct", "relay_to_direct"):
            found += samples(f"delay-{delay}/{name}", "narrowlink", 200, 250, 300)
    for name in report.stall_limits:
        found += samples(f"stall/{name}", "narrowlink", 0.1, 0.3, 0.2)
    return found


def replaced(measure, subject, *values):
    kept = [sample for sample in everything() if (sample["measure"], sample["subject"]) != (measure, subject)]
    return kept + samples(measure, subject, *values)


def states(found):
    return [entry["state"] for entry in report.summarise(found)["aims"]]


class Aims(unittest.TestCase):
    def test_all_are_met_and_each_is_missed_by_what_it_is_about(self):
        self.assertEqual(set(states(everything())), {"met"})
        for number, (measure, subject, values) in enumerate([
                ("veth-1500/throughput.1.down", DIRECT, (5, 5, 7)),  # the slower direction counts
                ("veth-9000/throughput.1.up", DIRECT, (5, 5, 7)),
                ("loopback-1500/throughput.1.down", DIRECT, (5, 5, 7)),
                ("loopback-9000/throughput.1.up", "quic", (13, 13, 13)),
                ("loopback-65536/throughput.1.up", "quic", (13, 13, 13)),
                ("delay-0/relay_to_direct", "narrowlink", (200, 301, 302)),
                ("delay-20/relay_to_direct", "narrowlink", (200, 421, 422)),
                ("delay-100/relay_to_direct", "narrowlink", (200, 901, 902)),
                ("stall/relay_to_direct_again", "narrowlink", (0.1, 0.1, 1.1)),  # the worst run counts
                ("stall/relay_to_udp_again", "narrowlink", (0.1, 0.1, 1.1)),
                ("stall/agent_roaming", "narrowlink", (0.1, 0.1, 3.1)),
                ("stall/gateway_kill", "narrowlink", (0.1, 0.1, 1.1))]):
            with self.subTest(measure):
                expected = ["met"] * 12
                expected[number] = "MISSED"
                self.assertEqual(states(replaced(measure, subject, *values)), expected)

    def test_udp_that_is_cut_is_a_forced_switch_and_a_black_hole(self):
        self.assertEqual(states(replaced("stall/udp_cut", "narrowlink", 0.1, 0.1, 1.1)).count("MISSED"), 1)
        self.assertEqual(states(replaced("stall/udp_cut", "narrowlink", 0.1, 0.1, 3.1)).count("MISSED"), 2)

    def test_what_was_not_measured_is_not_met(self):
        self.assertEqual(set(states([])), {"not measured"})
        self.assertEqual(states(replaced("stall/udp_cut", "narrowlink")).count("not measured"), 2)


class Page(unittest.TestCase):
    def described(self, found):
        results = report.summarise(found) | {
            "machine": {"processors": 2, "processor": "P", "memory_gib": 4, "system": "S", "kernel": "K",
                        "network": "N", "other_processes": 0.01, "stolen": 0},
            "plan": {"runs": RUNS, "seconds": 2, "first_direct": 10, "stall_runs": 3}, "command": "C", "commit": "c",
            "date": "d", "mtus": {"veth-1500/": 1472}, "versions": {}, "remark": None}
        return report.circumstances(results), report.tables(results), []

    def test_shows_medians_with_their_spread_and_ratios(self):
        _, tables, _ = self.described(everything())
        row = next(row for head, rows in tables if head[0].startswith("throughput") for row in rows
                   if row[0] == "veth, MTU 1500, 1 stream up")
        self.assertEqual(row[1:3], ["6.00 (5.00 to 7.00)", "11.0 (10.0 to 12.0)"])
        self.assertEqual(row[5], "0.55x")
        self.assertEqual(row[4], "–", "WireGuard was not measured")

    def test_keeps_what_people_wrote_around_the_measured_part(self):
        with tempfile.TemporaryDirectory() as folder:
            page = documents.Page(Path(folder, "page.md"), "# Title\n")
            page.write(*self.described(everything()))
            page.path.write_text(page.path.read_text().replace("# Title", "# Other") + "\nbelow\n")
            page.write(*self.described(replaced("stall/roaming", "narrowlink", 9)))
            text = page.path.read_text()
        self.assertTrue(text.startswith("# Other\n"))
        self.assertTrue(text.endswith("\nbelow\n"))
        self.assertIn("| MISSED | 9.00 s |", text)
        self.assertEqual(text.count("| state |"), 1)

    def test_tables_have_a_cell_in_every_column(self):
        for head, rows in self.described(everything())[1]:
            for row in rows:
                self.assertEqual(len(row), len(head), head[0])
                self.assertTrue(all(row), row)


if __name__ == "__main__":
    unittest.main()

"""What bench/run --loss makes of its samples and counters: medians, ratios, the counted losses, a page."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from narrowlink_bench import documents  # noqa: E402
from narrowlink_bench.loss import measures, place, report, subjects  # noqa: E402

figures = {"tcp-cubic": (10, 8, 9), "tcp-bbr": (90, 80, 100), "narrowlink-websocket": (5, 4, 6),
           "narrowlink-websocket-bbr": (80, 70, 90), "narrowlink-udp": (20, 25, 15), "narrowlink-direct": (30, 31, 29),
           "narrowlink-direct-cubic": (15, 14, 16),
           "quic-cubic-rfc": (10, 9, 11), "quic-cubic": (33, 32, 30), "quic-bbr": (64, 96, 60)}


def samples(percent, without=()):
    return [{"measure": report.measure(percent), "subject": subject, "unit": "", "value": value, "run": run}
            for subject, values in figures.items() if subject not in without for run, value in enumerate(values, 1)]


def counted(packets=1_000, lost=10, trains=0, overflow=0):
    return {"packets.up": packets, "packets.down": 4 * packets, "lost.up": lost, "lost.down": 2 * lost,
            "trains": trains, "overflow": overflow}


def results(found, links):
    return report.summarise(found) | {
        "machine": {"processors": 2, "processor": "P", "memory_gib": 4, "system": "S", "kernel": "K", "network": "N",
                    "other_processes": 0.01, "stolen": 0},
        "plan": {"runs": 3, "seconds": 2}, "command": "C", "commit": "c", "date": "d", "links": links,
        "round_trip": 20, "rate": 100, "versions": {}, "remark": "of the loaded kind"}


def table(found, begin, links=None):
    return next((head, rows) for head, rows in report.tables(results(found, links or {})) if head[0].startswith(begin))


class Tables(unittest.TestCase):
    def test_throughput_has_a_row_per_subject_and_a_column_per_loss(self):
        head, rows = table(samples("0") + samples("5"), "1 stream")
        self.assertEqual(head[1:], ["0 % loss", "5 % loss"])
        self.assertEqual([row[0] for row in rows], list(report.subjects.values()))
        self.assertEqual(rows[0][1:], ["9.00 (8.00 to 10.0)"] * 2)

    def test_ratios_are_those_of_medians(self):
        _, rows = table(samples("1"), "ratio")
        found = {row[0]: row[1] for row in rows}
        self.assertEqual(found["relay over UDP / over WebSocket with CUBIC"], "4.00x")
        self.assertEqual(found["relay over UDP / over WebSocket with BBR"], "0.25x")
        self.assertEqual(found["bare QUIC with BBR / with CUBIC as with `congestion_control: cubic`"], "2.00x")
        self.assertEqual(len(rows), len(report.ratios))

    def test_what_was_not_measured_has_no_row_and_no_ratio(self):
        one_misses = samples("0") + samples("1", without=["narrowlink-udp"])
        _, rows = table(one_misses, "1 stream")
        self.assertEqual(next(row for row in rows if row[0] == "relay over UDP")[1:], ["20.0 (15.0 to 25.0)", "–"])
        _, rows = table(samples("0", without=["tcp-bbr", "narrowlink-websocket-bbr"]), "ratio")
        self.assertFalse([row for row in rows if "WebSocket with BBR" in row[0]])
        self.assertEqual(report.tables(results([], {})), [])

    def test_shows_what_was_counted_on_the_link(self):
        links = {"0": counted(lost=0), "1": counted(trains=3, overflow=4), "5": counted(packets=0)}
        _, rows = table(samples("1"), "counted", links)
        self.assertEqual(rows[0], ["0 % loss", "4,000", "0.00 %", "1,000", "0.00 %", "0", "0"])
        self.assertEqual(rows[1], ["1 % loss", "4,000", "0.50 %", "1,000", "1.00 %", "3", "4"])
        self.assertEqual(rows[2][2], "–")


class Bench(unittest.TestCase):
    """The judgement of the link, without a link."""

    def noted(self, percent, **numbers):
        bench = measures.LossBench(measures.Plan.quick(), Path("p"), Path("b"), lambda _: None)
        link = type("Link", (), {"counted": lambda _: counted(**numbers)})()
        bench.count(link, percent)
        self.assertEqual(bench.results()["links"][percent], counted(**numbers))
        return len(bench.failures)

    def test_a_run_whose_losses_are_not_of_single_packets_has_failed(self):
        self.assertEqual(self.noted("1"), 0)
        self.assertEqual(self.noted("1", trains=1), 1)

    def test_a_run_that_has_lost_more_than_it_was_to_lose_has_failed(self):
        self.assertEqual(self.noted("0", packets=20_000, lost=0, overflow=10), 0)
        self.assertEqual(self.noted("0", packets=20_000, lost=0, overflow=11), 1)

    def test_a_run_without_losses_has_failed_unless_there_were_to_be_none(self):
        self.assertEqual(self.noted("5", lost=0), 1)
        self.assertEqual(self.noted("0", lost=0), 0)

    def test_every_loss_that_is_measured_is_shown(self):
        self.assertEqual(measures.groups, report.losses)

    def test_both_directions_are_counted_before_they_are_lost(self):
        rules = [line.strip() for line in place.loss_rules(5).splitlines()]
        for direction, link in (("up", "iifname client"), ("down", "oifname client")):
            seen = rules.index(f"{link} counter name packets_{direction}")
            self.assertEqual(rules[seen + 1], f"{link} numgen random mod 100 < 5 counter name lost_{direction} drop")
        self.assertNotIn("drop", place.loss_rules(0))


class Subjects(unittest.TestCase):
    def test_tell_the_congestion_control_of_their_own_connections(self):
        shown = """\
ESTAB 0 0 10.77.1.2:40000 10.77.3.2:4430 users:(("narrowlink-clie",pid=12,fd=9))
\t cubic wscale:7,7 rto:220 rtt:20/5
ESTAB 0 0 10.77.1.2:40002 10.77.3.2:4430 users:(("narrowlink-clie",pid=123,fd=9))
\t bbr wscale:7,7 rto:220 rtt:20/5
"""
        lab = SimpleNamespace(gateway_address="G", client=None, check=lambda *_: SimpleNamespace(out=shown))
        subject = subjects.Narrowlink(lab, None, SimpleNamespace(congestion="bbr"), "websocket", "bbr")
        self.assertEqual(subject.name, "narrowlink-websocket-bbr")
        for pid, expected in ((12, ["cubic"]), (123, ["bbr"]), (3, [])):
            subject.forward = SimpleNamespace(process=SimpleNamespace(pid=pid))
            self.assertEqual(subject.tcp_in_use(), expected)


class Page(unittest.TestCase):
    def test_has_the_tables_and_the_remark(self):
        shown = results(samples("0") + samples("1"), {"0": counted(lost=0), "1": counted()})
        with tempfile.TemporaryDirectory() as folder:
            page = documents.Page(Path(folder, "page.md"), documents.loss.introduction)
            page.write(report.circumstances(shown), report.tables(shown), [])
            text = page.path.read_text()
        self.assertIn("- **of the loaded kind**", text)
        self.assertIn("round trip 20 ms", text)
        self.assertEqual(text.count("| 0 % loss"), 3)
        for head, rows in report.tables(shown):
            for row in rows:
                self.assertEqual(len(row), len(head), head[0])
                self.assertTrue(all(row), row)


class CommandLine(unittest.TestCase):
    program = Path(__file__).resolve().parents[2] / "bench" / "run"

    def refused(self, *words):
        done = subprocess.run([sys.executable, "-B", self.program, *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_a_run_is_of_one_kind_and_knows_its_metrics(self):
        self.assertIn("not allowed with", self.refused("--direct", "--loss"))
        self.assertIn("no such metric: stalls", self.refused("--loss", "--only", "stalls"))
        self.assertIn("no such metric: 5", self.refused("--direct", "--only", "5"))


if __name__ == "__main__":
    unittest.main()

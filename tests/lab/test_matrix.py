"""The tables of the matrix and what is made of its results; runs no program and needs no network.

    python3 -B tests/lab/test_matrix.py
"""

import sys
import tempfile
import unittest
import xml.dom.minidom
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from nat_lab import RECIPES  # noqa: E402
from nat_matrix import CASES, GRID, KINDS, Technique, find, picture, report, runs  # noqa: E402
from nat_matrix.expectations import technique_of  # noqa: E402

ABOUT = {"command": "tests/lab/matrix", "date": "2026-01-01", "commit": "0000000", "jobs": 1, "minutes": 1.0,
         "machine": "2 processors"}


def result(case, number=0, **values):
    return {"case": case, "round": number, "ok": True, **values}


class Expectations(unittest.TestCase):
    def test_every_pair_of_kinds_is_there_in_both_orders(self):
        self.assertEqual(len(GRID), 144)
        self.assertEqual(set(find("pairs")) | set(find("special")), set(CASES.values()))
        self.assertEqual(len(find("pairs")), 144)
        self.assertEqual(set(KINDS.values()) - set(RECIPES), set())
        for (agent, client), expected in GRID.items():
            self.assertEqual(GRID[client, agent].technique, expected.technique)

    def test_so_many_pairs_are_reached_in_each_way(self):
        # Counted in the table of measurements that the expectations were taken from.
        self.assertEqual(Counter(expected.technique for expected in GRID.values()),
                         {Technique.observed: 73, Technique.prediction: 9, Technique.block: 11,
                          Technique.birthday: 16, Technique.none: 35})

    def test_where_there_is_no_direct_path_a_reason_is_expected(self):
        for case in CASES.values():
            expected = case.then or case.expected
            self.assertEqual(bool(expected.reason), not expected.direct, case.name)

    def test_a_pattern_finds_cases_by_name(self):
        self.assertEqual([case.name for case in find("PR/PUB,same-lan,nothing")], ["PR/PUB", "same-lan"])
        self.assertEqual(len(find("RND/*")), 12)

    def test_the_technique_is_told_by_the_ports_of_probes(self):
        for spreads, expected, told in [
            (((1, 1), (1, 1)), Technique.observed, Technique.observed),
            (((2, 3), (2, 2)), Technique.prediction, Technique.prediction),  # luck with the first packets
            (((2, 3), (2, 2)), Technique.birthday, Technique.observed),
            (((2, 10), (2, 2)), Technique.prediction, Technique.prediction),
            (((2, 10), (2, 2)), Technique.observed, Technique.prediction),
            (((17, 2), (1, 30)), Technique.block, Technique.block),
            (((4, 20), (4, 25)), Technique.block, Technique.block),
            (((2, 400), (2, 2)), Technique.observed, Technique.block),
            (((257, 2), (1, 300)), Technique.observed, Technique.birthday),
        ]:
            self.assertEqual(technique_of(spreads, expected), told, spreads)


class Runs(unittest.TestCase):
    def test_every_case_has_had_two_rounds_before_any_gets_a_third(self):
        cases = find("PR/PR,PR/RND,same-lan")
        units = runs.plan(cases, 3, set())
        self.assertEqual([(unit.case, unit.rounds) for unit in units],
                         [("PR/PR", (0, 1)), ("PR/RND", (0, 1)), ("same-lan", (0, 1)),
                          ("PR/PR", (2,)), ("PR/RND", (2, 3)), ("same-lan", (2,)), ("PR/RND", (4, 5))])

    def test_what_has_been_run_is_not_run_again(self):
        done = {("PR/PR", 0), ("PR/PR", 2)}
        self.assertEqual(runs.plan(find("PR/PR"), 3, done), [runs.Unit("PR/PR", (1,))])
        self.assertEqual(runs.plan(find("PR/PR"), 1, done), [])

    def test_what_moves_hosts_about_gets_a_new_network_for_each_round(self):
        self.assertEqual(runs.plan(find("client-roams"), 2, set()),
                         [runs.Unit("client-roams", (0,)), runs.Unit("client-roams", (1,))])

    def test_results_survive_in_their_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "results.json")
            first = runs.Runs(file, dict(ABOUT), resume=True)
            first.results.append(result("PR/PR", 4))
            first.save()
            second = runs.Runs(file, dict(ABOUT, commit="1111111"), resume=True)
            self.assertEqual(second.done(), {("PR/PR", 4)})
            self.assertEqual((second.about["minutes"], second.about["commit"]), (2.0, "0000000; 1111111"))
            self.assertEqual(runs.Runs(file, dict(ABOUT), resume=False).done(), set())


class Page(unittest.TestCase):
    def setUp(self):
        self.results = [
            *(result("PR/PR", n, technique="observed", seconds=0.1, after_relay=0.09, probes=10) for n in range(4)),
            {"case": "PR/PR", "round": 4, "ok": False, "error": "it rained"},
            *(result("PR/RND", n, technique="birthday", seconds=2.0, probes=500) for n in range(9)),
            {"case": "PR/RND", "round": 9, "ok": False, "error": "it rained"},
            result("RND/RND", technique="relay", seconds=2.5, reason="both NATs choose ports at random"),
            result("client-roams", technique="observed", seconds=0.1, probes=10, stall=0.02, change_seconds=2.0,
                   change_stall=1.5),
        ]

    def test_one_failure_in_ten_is_too_many_unless_it_is_a_birthday(self):
        summaries = report.summarise(self.results)
        self.assertEqual([name for name, summary in summaries.items() if not summary.is_good], ["PR/PR"])

    def test_failures_are_shown(self):
        page = report.page(ABOUT, self.results, "picture.svg")
        self.assertIn("obs **4/5**<br>0.10 s<br>10", page)
        self.assertIn("bday 9/10<br>2.00 s<br>500", page)
        self.assertIn("- `PR/PR`, 1 of 5: it rained", page)
        self.assertIn("- `PR/RND`, 1 of 10: it rained", page)
        self.assertIn("direct after 2.00 s, the stream stood for 1.50 s", page)
        self.assertIn('- "both NATs choose ports at random": RND/RND', page)

    def test_the_page_says_which_cells_are_direct_too_late(self):
        late = [result("PR/FC", n, technique="observed", seconds=after + 0.05, after_relay=after, probes=10)
                for n, after in enumerate((0.2, 0.31, 0.4))]
        page = report.page(ABOUT, self.results + late, "picture.svg")
        self.assertIn("the slowest is PR/FC with 0.31 s", page)
        self.assertIn("met in 1 of 2 cells, not in PR/FC.", page)
        page = report.page(ABOUT, self.results, "picture.svg")
        self.assertIn("met in 1 of 1 cells. ", page)

    def test_the_picture_is_well_formed_and_marks_what_failed(self):
        drawing = picture.draw(report.summarise(self.results), "one & two")
        squares = xml.dom.minidom.parseString(drawing).getElementsByTagName("rect")
        marked = [square for square in squares if square.getAttribute("stroke") == picture.FAILED]
        self.assertEqual(len(marked), 2, "PR/PR, and the legend")


if __name__ == "__main__":
    unittest.main(verbosity=2)

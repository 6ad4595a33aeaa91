"""What happens in networks beside plain NATs: roaming, sleep, reboots, loss, delay, neighbours, IPv6.

The cases and what is expected of them are those of tests/lab/matrix; here is a spread of them, one round each.
"""

import dataclasses
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import Scenario, main  # noqa: E402
from nat_lab import NatLab  # noqa: E402
from nat_matrix import CASES, Trial  # noqa: E402


class Special(Scenario):
    def outcome(self, case):
        with NatLab(self.lab.programs) as lab:  # of its own: delays and addresses of a case stay
            return Trial(case, lab).round(0)

    def check(self, case):
        result = self.outcome(case)
        self.assertTrue(result.ok, f"{case.title}: {result.error}\n{result.log}")

    def test_an_outcome_that_nobody_expected_is_a_failure(self):
        direct, relayed = CASES["PR/FC"], CASES["RND/RND"]
        hopeful = dataclasses.replace(direct.expected, limit=4)
        result = self.outcome(dataclasses.replace(relayed, expected=hopeful))
        self.assertEqual((result.ok, result.error),
                         (False, f"no direct path within 4 s: {relayed.expected.reason}"))
        gloomy = dataclasses.replace(relayed.expected, limit=2)
        self.assertFalse(self.outcome(dataclasses.replace(direct, expected=gloomy)).ok)
        cheap = dataclasses.replace(CASES["PR/RND"], expected=dataclasses.replace(direct.expected, limit=60))
        self.assertIn("where observed is enough", self.outcome(cheap).error)

    def test_programs_that_only_say_that_they_are_direct_are_found_out(self):
        class Liar(Trial):
            def _path(self):
                return time.time(), "direct-udp"

            def _status(self):
                return {"path": "direct-udp"}

        with NatLab(self.lab.programs) as lab:
            hopeful = dataclasses.replace(CASES["RND/RND"], expected=CASES["PR/FC"].expected)
            self.assertIn("not direct: ", Liar(hopeful, lab).round(0).error)


def _test(case):
    return lambda self: self.check(case)


for _case in CASES.values():
    if _case.quick:
        setattr(Special, f'test_{_case.name.replace("-", "_")}', _test(_case))


if __name__ == "__main__":
    main()

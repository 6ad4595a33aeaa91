"""How a scenario is written and run: a unittest class with a lab of its own."""

import argparse
import signal
import sys
import unittest

from .laboratory import Lab
from .namespace import require_root

_programs = None
_labs = []


class Scenario(unittest.TestCase):
    """One lab for all tests of the class; a failing test prints the logs of every program."""

    laboratory = Lab
    longMessage = True
    maxDiff = 2_000

    def shortDescription(self):
        return None  # the name of the test is the sentence

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.laboratory(_programs)
        _labs.append(cls.lab)
        cls.addClassCleanup(cls.lab.close)
        try:
            cls.prepare()
        except BaseException:
            print(cls.lab.logs(), file=sys.stderr)
            raise

    @classmethod
    def prepare(cls):
        """Starts what all tests of the class use."""


class _InOrderOfDefinition(unittest.TestLoader):
    def getTestCaseNames(self, case):
        names = super().getTestCaseNames(case)
        return sorted(names, key=lambda name: getattr(case, name).__code__.co_firstlineno)


class _Result(unittest.TextTestResult):
    def addError(self, test, err):
        super().addError(test, err)
        self._print_logs(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._print_logs(test)

    def _print_logs(self, test):
        if isinstance(test, Scenario):
            self.stream.writeln(f"\n=== logs when {test._testMethodName} failed\n{test.lab.logs()}")


def main():
    """`python3 test_NAME.py --programs FOLDER [TEST…]`"""
    global _programs
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True, metavar="FOLDER",
                        help="where narrowlink-gateway, -agent and -client are")
    parser.add_argument("tests", nargs="*", help="parts of test names; all tests without")
    arguments = parser.parse_args()
    require_root()
    _programs = arguments.programs

    # A signal unwinds the stack, so that the labs below are closed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    patterns = [f"*{part}*" for part in arguments.tests]
    runner = unittest.TextTestRunner(verbosity=2, resultclass=_Result, failfast=False)
    loader = _InOrderOfDefinition()
    loader.testNamePatterns = patterns or None
    suite = loader.loadTestsFromModule(sys.modules["__main__"])
    if suite.countTestCases() == 0:
        raise SystemExit("e2e: no test has such a name")
    try:
        result = runner.run(suite)
    finally:
        for lab in _labs:  # unittest skips class cleanups when a signal ends the run
            lab.close()
    sys.stdout.flush()
    sys.exit(0 if result.wasSuccessful() else 1)


def _interrupt(number, frame):
    raise KeyboardInterrupt(f"signal {number}")

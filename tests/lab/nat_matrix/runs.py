"""Runs many cases, some at once, and keeps the results in a file from which an interrupted run goes on."""

import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from lab import LabError
from nat_lab import NatLab

from .cases import CASES
from .trial import Result, Trial

AT_ONCE = 2  # rounds of a case in one network; then others get their turn, so that a short run has seen all
PR_SET_PDEATHSIG = 1  # prctl(2)
HANGING = 120  # seconds that a round may take beyond what is expected of it, before it is given up


def rounds_of(case, rounds):
    """Where luck is part of it twice as many show how much."""
    return 2 * rounds if case.expected.share < 1 else rounds


@dataclass(frozen=True)
class Unit:
    case: str
    rounds: tuple


def plan(cases, rounds, done):
    """What remains to be run; `done` are (case, round)."""
    passes = range(0, max(rounds_of(case, rounds) for case in cases), AT_ONCE)
    units = []
    for first in passes:
        for case in cases:
            last = min(first + AT_ONCE, rounds_of(case, rounds))
            missing = tuple(number for number in range(first, last) if (case.name, number) not in done)
            # What moves hosts about needs a fresh network.
            units += [Unit(case.name, part) for part in ([(n,) for n in missing] if case.change else [missing]) if part]
    return units


def run_unit(unit, programs):
    case = CASES[unit.case]
    longest = case.expected.limit + case.expected.watch + (case.then.limit if case.then else 0) + HANGING
    results = []
    try:
        signal.alarm(int(longest * len(unit.rounds)))
        with NatLab(programs) as lab:
            trial = Trial(case, lab)
            for number in unit.rounds:
                results.append(trial.round(number))
    except (LabError, OSError) as failure:
        for number in unit.rounds[len(results):]:
            results.append(Result(case.name, number, error=f"the lab: {failure}".partition("\n")[0]))
    finally:
        signal.alarm(0)
    return [result.to_json() for result in results]


def _expire(number, frame):
    raise LabError("a round hangs")


def _interrupt(number, frame):
    raise KeyboardInterrupt(f"signal {number}")


def _work(connection, programs):
    """A worker: a process, because programs can be started from a main thread only."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # also when our parent is killed
    signal.signal(signal.SIGALRM, _expire)
    signal.signal(signal.SIGTERM, _interrupt)  # unwinds the stack, so that the lab is closed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all; we wait for our parent's word
    try:
        while True:
            connection.send(run_unit(connection.recv(), programs))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass


class _Worker:
    """A process that runs one unit after another."""

    def __init__(self, programs):
        self._programs = programs
        self.unit = None
        self._start()

    def _start(self):
        context = multiprocessing.get_context("fork")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there, self._programs))
        self.process.start()
        there.close()

    def give(self, unit):
        self.unit = unit
        self.connection.send(unit)

    def take(self):
        """The results of the unit; also those of one that has killed the worker."""
        unit, self.unit = self.unit, None
        try:
            return self.connection.recv()
        except EOFError:
            self._start()
            return [Result(unit.case, number, error="the process that ran it has died").to_json()
                    for number in unit.rounds]

    def end(self):
        self.process.terminate()


class Runs:
    """All results, those of an earlier run included; written after each unit."""

    def __init__(self, file, about, resume):
        self._file = Path(file)
        self.about, self.results = about, []
        if resume and self._file.exists():
            earlier = json.loads(self._file.read_text())
            self.results = earlier["results"]
            self.about["minutes"] += earlier["about"]["minutes"]
            for key in ("command", "commit"):  # the page names all
                before = earlier["about"][key].split("; ")
                self.about[key] = "; ".join([*before, self.about[key]] if self.about[key] not in before else before)

    def done(self):
        return {(result["case"], result["round"]) for result in self.results}

    def run(self, units, programs, jobs, minutes=None):
        """Returns whether everything was run, and not only what can be begun in so many minutes."""
        begun, earlier = time.monotonic(), self.about["minutes"]
        waiting, finished = list(units), 0
        workers = [_Worker(programs) for _ in range(min(jobs, len(units)))]
        try:
            for worker in workers:
                worker.give(waiting.pop(0))
            while busy := {worker.connection: worker for worker in workers if worker.unit}:
                for connection in wait(list(busy)):
                    worker = busy[connection]
                    results = worker.take()
                    finished += 1
                    elapsed = time.monotonic() - begun
                    self.results += results
                    self.about["minutes"] = round(earlier + elapsed / 60, 1)
                    self.save()
                    for result in results:
                        say(result, finished, len(units), elapsed)
                    if waiting and (minutes is None or elapsed < minutes * 60):
                        worker.give(waiting.pop(0))
        finally:
            for worker in workers:
                worker.end()
            for worker in workers:
                worker.process.join()
        return not waiting

    def save(self):
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".part")
        temporary.write_text(json.dumps({"about": self.about, "results": self.results}, indent=1))
        os.replace(temporary, self._file)


def say(result, finished, units, elapsed):
    seconds = f'{result["seconds"]:6.2f} s' if "seconds" in result else "       –"
    left = elapsed / finished * (units - finished) / 60
    state = "ok    " if result["ok"] else "FAILED"
    print(f'[{elapsed / 60:5.1f} min, {left:4.1f} left] {state} {result["case"]} #{result["round"]}: '
          f'{result.get("technique", "–")}, {seconds}{"" if result["ok"] else ": " + result.get("error", "")}',
          file=sys.stderr, flush=True)

"""What goes wrong in the lab, and the one way to wait for something."""

import time


class LabError(AssertionError):
    """The lab could not do what a scenario asked for, or the scenario's expectation is not met."""


def until(condition, timeout, what):
    """Waits until `condition()` is true and returns its value; fails with `what` at the deadline."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise LabError(f"not within {timeout} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)

"""Every pair of NATs, and what else happens in networks: what is expected of the real programs, and whether it holds.

Built on nat_lab, so `tests/e2e` and `tests/lab` have to be on `sys.path`.
"""

from .cases import CASES, Case, find
from .expectations import GRID, KINDS, Expectation, Technique
from .trial import Result, Trial

"""Which pairs of NATs get a direct path, how, and how soon; and what the user is told where there is none."""

import enum
from dataclasses import dataclass


class Technique(enum.Enum):
    """How the two sides find each other, the cheapest first (include/narrowlink/nat/technique.hpp)."""

    observed = "observed"  # where the gateway saw the peer, or where a packet of it came from
    prediction = "prediction"  # the next ports of a NAT that counts
    block = "block spray"  # all ports of the block of a NAT that has one
    birthday = "birthday"  # random ports, against a NAT that has been made to use many
    none = "relay"

    @property
    def effort(self):
        return list(Technique).index(self)


@dataclass(frozen=True)
class Expectation:
    technique: Technique
    limit: float  # seconds from the client's start to the direct path, or until the reason is shown
    aim: float | None = None  # seconds from when the relay works to the direct path, in the median
    reason: str = ""  # where there is no direct path
    watch: float = 3  # so many seconds more the relay has to stay
    share: float = 1  # of the rounds in which all this has to hold; less where luck is part of it
    relay: str = "relay-udp"  # which of them, where there is no direct path

    @property
    def direct(self):
        return self.technique is not Technique.none


# The columns and rows of the matrix, and the recipes of nat_lab that they stand for.
KINDS = {
    "PUB": "public",
    "FW": "public_firewall",
    "FC": "full_cone",
    "AR": "address_restricted",
    "PR": "port_restricted",
    "PRo": "port_restricted_open_input",
    "EIMr": "endpoint_independent_random",
    "ADM": "address_dependent_random",
    "SEQ": "symmetric_sequential",
    "BLK": "symmetric_block",
    "RND": "symmetric_random",
    "noUDP": "udp_blocked",
}

# Who plays which part makes no difference, so half of the matrix says it all.
_HALF = """
          PUB   FW    FC    AR    PR    PRo   EIMr  ADM   SEQ   BLK   RND   noUDP
    PUB   o     o     o     o     o     o     o     o     o     o     o     -
    FW          o     o     o     o     o     o     a     p     b     r     -
    FC                o     o     o     o     o     o     o     o     o     -
    AR                      o     o     o     o     o     o     o     o     -
    PR                            o     o     o     a     p     b     r     -
    PRo                                 o     o     a     p     b     r     -
    EIMr                                      o     a     p     b     r     -
    ADM                                             -     -     -     -     -
    SEQ                                                   p     d     -     -
    BLK                                                         d     -     -
    RND                                                               -     -
    noUDP                                                                   -
"""

# Three round trips and 300 ms; between the sites of the matrix there is no delay. A machine that runs several
# cases at once may miss it now and then, so it is the median that is judged, on the page.
OBSERVED_AIM = 0.3

_MARKS = {
    "o": Expectation(Technique.observed, 8, OBSERVED_AIM),
    "p": Expectation(Technique.prediction, 10),
    "b": Expectation(Technique.block, 20),
    # Against a block from behind a counter or another block: up to twice 7 s, then another round.
    "d": Expectation(Technique.block, 45),
    "r": Expectation(Technique.birthday, 45, share=0.9),
    # What one address of the gateway cannot tell from a NAT that needs none of this: two steps in vain,
    # and then it is not known which of the two sides is the one.
    "a": Expectation(Technique.birthday, 60, share=0.9),
}

RELAY_LIMIT = 20
NOTHING_GOT_THROUGH = "no probe got through between the two NATs"
BLOCKED_HERE = "UDP is blocked between this machine and the gateway"
BLOCKED_THERE = "UDP is blocked at the agent"
BOTH_RANDOM = "both NATs choose ports at random"
MAIN_PORT_ONLY = "UDP is blocked at {}, except to the gateway's main port"

_HABITS = {
    "SEQ": "chooses another port for each destination",
    "BLK": "chooses another port for each destination",
    "RND": "chooses ports at random",
}


def relay(reason, watch=3, share=1):
    over = "relay-websocket" if reason in (BLOCKED_HERE, BLOCKED_THERE) else "relay-udp"
    return Expectation(Technique.none, RELAY_LIMIT, reason=reason, watch=watch, share=share, relay=over)


def _reason(agent, client):
    if client == "noUDP":
        return BLOCKED_HERE
    if agent == "noUDP":
        return BLOCKED_THERE
    if agent == client:
        return BOTH_RANDOM
    return f"the NAT of this machine {_HABITS[client]}, and that of the agent {_HABITS[agent]}"


def _relayed(agent, client):
    if "ADM" in (agent, client) and "noUDP" not in (agent, client):
        return relay(NOTHING_GOT_THROUGH, watch=20)  # steps are tried, which must all fail
    return relay(_reason(agent, client))


def _grid():
    head, *rows = (line.split() for line in _HALF.strip().splitlines())
    grid = {}
    for row, *marks in rows:
        for column, mark in zip(head[-len(marks):], marks, strict=True):
            for agent, client in ((row, column), (column, row)):
                grid[agent, client] = _MARKS[mark] if mark != "-" else _relayed(agent, client)
    return grid


GRID = _grid()  # (agent's kind, client's kind): Expectation


def technique_of(spreads, expected):
    """How a direct path was found, concluded from which ports the probes of both sides came from and went to.

    Where two techniques look alike, because the second one had luck with its first packets, it is the
    expected one of them. `spreads` are two pairs: how many local, and how many remote ports.
    """
    from_, to = (max(counts) for counts in zip(*spreads))
    if from_ >= 100:
        return Technique.birthday  # 256 sockets on one side
    if from_ >= 10 or to > 60:
        return Technique.block  # 16 sockets on one side, or hundreds of ports
    if from_ >= 4 or to >= 8:
        alike = Technique.prediction, Technique.block  # the next 8 ports, or 3 and 4 sockets, or the first of a block
    else:
        alike = Technique.observed, Technique.prediction
    return expected if expected in alike else alike[0]

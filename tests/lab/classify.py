"""Finds out what a router does by sending packets through it, for the tests of the lab itself.

One thread drives both ends: a socket stays in the namespace in which it was made. A packet that the recipe
lets through is given seconds to come, another one only a moment.
"""

import os
import socket
import time

from nat_lab import (GATEWAY, GATEWAY6, SECOND_GATEWAY, SECOND_GATEWAY6, Behaviour, Filtering, Mapping,
                     Ports)

LONG, SHORT = 5, 0.3  # seconds
PORTS = (443, 53, 4433, 3478)  # of the gateway's first address
SECOND_PORTS = (443, 4433)
FIRST_LOCAL_PORT = 50_001  # fixed, because some routers derive the mapped port from it: no dice in tests
DISCARD = 9


def patience(expected):
    return LONG if expected else SHORT


def open_udp(machine, port=0, address=None, family=None):
    family = family or (socket.AF_INET6 if address and ":" in address else socket.AF_INET)
    sock = machine.open_socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address or "", port))
    return sock


def await_token(sock, token, expected):
    """Where `token` came from; None if it did not come."""
    deadline = time.monotonic() + patience(expected)
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            datagram, source = sock.recvfrom(2_048)
        except TimeoutError:
            break
        if datagram == token:
            return source[:2]
    return None


def passes(sender, target, receiver, expected=True):
    """Sends from one socket to `target`; where `receiver` saw it come from, or None."""
    token = os.urandom(8)
    sender.sendto(token, target)
    return await_token(receiver, token, expected)


class Observer:
    """The gateway's sockets, which see mapped addresses."""

    def __init__(self, lab, family=socket.AF_INET):
        first, second = ((GATEWAY, SECOND_GATEWAY) if family == socket.AF_INET
                         else (GATEWAY6, SECOND_GATEWAY6))
        self.first = [open_udp(lab.gateway, port, first) for port in PORTS]
        self.second = [open_udp(lab.gateway, port, second) for port in SECOND_PORTS]
        for sock in self.first + self.second:
            lab.at_end(sock.close)

    def mapped_address(self, sock, at=None, expected=True):
        """Sends from `sock` to one of the gateway's sockets; the address it shows there."""
        at = at or self.first[0]
        return passes(sock, at.getsockname()[:2], at, expected)


class Classifier:
    """One use, of one site: what behaviour() finds is to be compared with the recipe."""

    def __init__(self, lab, site, expected=None, family=None):
        self._lab, self._site = lab, site
        self._expected = expected or site.recipe.behaviour
        self._family = family or (socket.AF_INET if site.recipe.has_ipv4 else socket.AF_INET6)
        self._observer = Observer(lab, self._family)
        self._next_port = FIRST_LOCAL_PORT
        self._local = site.host(0).address if self._family == socket.AF_INET else site.host(0).address6
        self.samples = []  # ports of mappings in the order in which they were made

    def behaviour(self):
        reached = self._mapped_everywhere(self._socket())
        if not reached:
            return Behaviour()
        # A pool may give one socket the same address six times, but hardly three sockets in a row.
        more = [self._mapped_everywhere(self._socket()) for _ in range(2)]
        everything = [address for row in (reached, *more) for address in row.values()]
        mapping = max((self._mapping(row) for row in (reached, *more)), key=list(Mapping).index)
        to = {at.getsockname()[1] for at in reached}
        poked = self._socket()
        mapped = self._observer.mapped_address(poked)
        filtering = self._filtering(poked, mapped)
        return Behaviour(
            mapping=mapping, filtering=filtering, ports=self._ports(mapping),
            translates=mapped[0] != self._local,
            pools=len({address for address, _ in everything}) > 1,
            hairpins=self._hairpins(poked, mapped),
            poisonable=mapping is Mapping.endpoint_independent and self._is_poisoned(poked, mapped),
            refuses=self._refuses(mapped),
            udp_ports=None if len(reached) == len(PORTS + SECOND_PORTS) else frozenset(to))

    def _socket(self, number=0):
        self._next_port += 1
        sock = open_udp(self._site.host(number), self._next_port, family=self._family)
        self._lab.at_end(sock.close)
        return sock

    def _gets_through(self, at):
        allowed = self._expected.udp_ports
        return self._expected.mapping is not None and (
            allowed is None or at.getsockname()[1] in allowed)

    def _mapped_everywhere(self, sock):
        """The mapped address that each of the gateway's sockets sees, of those that are reached."""
        mapped = {at: self._observer.mapped_address(sock, at, self._gets_through(at))
                  for at in self._observer.first + self._observer.second}
        return {at: address for at, address in mapped.items() if address}

    def _mapping(self, reached):
        first = {address for at, address in reached.items() if at in self._observer.first}
        second = {address for at, address in reached.items() if at in self._observer.second}
        if len(first | second) == 1:
            return Mapping.endpoint_independent
        if len(first) == 1 and len(second) == 1:
            return Mapping.address_dependent
        return Mapping.address_and_port_dependent

    def _ports(self, mapping):
        destinations = (self._observer.first if mapping is Mapping.address_and_port_dependent
                        else self._observer.first[:1])
        locals_ = []
        for _ in range(12):
            sock = self._socket()
            for at in destinations:
                self.samples.append(self._observer.mapped_address(sock, at)[1])
                locals_.append(sock.getsockname()[1])
        if self.samples == locals_:
            return Ports.preserved
        deltas = [after - before for before, after in zip(self.samples, self.samples[1:])]
        usual = max(set(deltas), key=deltas.count)
        if 0 < abs(usual) <= 16 and deltas.count(usual) >= 0.7 * len(deltas):
            return Ports.sequential
        return Ports.block if max(self.samples) - min(self.samples) < 4_096 else Ports.random

    def _filtering(self, sock, mapped):
        """Sends from an address and from a port that `sock` has not sent to."""
        from_address, from_port, fence = (os.urandom(8) for _ in range(3))
        self._observer.second[0].sendto(from_address, mapped)
        self._observer.first[1].sendto(from_port, mapped)
        self._observer.first[0].sendto(fence, mapped)
        awaited = {Filtering.endpoint_independent: {fence, from_address, from_port},
                   Filtering.address_dependent: {fence, from_port}}.get(self._expected.filtering, {fence})
        came, deadline = set(), time.monotonic() + LONG
        # The fence was sent last: what has not come before it was kept out.
        while not awaited <= came and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                came.add(sock.recv(2_048))
            except TimeoutError:
                break
        if fence not in came:
            raise AssertionError("the gateway cannot answer, on the very path that was opened to it")
        if from_address in came:
            return Filtering.endpoint_independent
        return (Filtering.address_dependent if from_port in came
                else Filtering.address_and_port_dependent)

    def _is_poisoned(self, sock, mapped):
        """Has what _filtering() sent from the uncontacted port changed the mapping towards it?"""
        return self._observer.mapped_address(sock, self._observer.first[1]) != mapped

    def _hairpins(self, sock, mapped):
        return passes(self._socket(1), mapped, sock, self._expected.hairpins) is not None

    def _refuses(self, mapped):
        with self._lab.gateway.open_socket(self._family, socket.SOCK_DGRAM) as sock:
            sock.connect((mapped[0], DISCARD))
            sock.settimeout(patience(self._expected.refuses))
            sock.send(b"unasked")
            try:
                sock.recv(1)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                return False
        raise AssertionError("nobody has a reason to answer")


def punch(one, address_of_one, other, address_of_other, expected=True):
    """Both send to the other's address until both have received, `one` first.

    Whoever receives goes on with the address the packet came from (RFC 8445, peer-reflexive).
    """
    target = {one: address_of_other, other: address_of_one}
    received = set()
    deadline = time.monotonic() + patience(expected)
    while len(received) < 2 and time.monotonic() < deadline:
        for sock in (one, other):
            sock.sendto(b"punch", target[sock])
        for sock in (one, other):
            sock.settimeout(0.05)
            try:
                datagram, source = sock.recvfrom(2_048)
            except (TimeoutError, ConnectionRefusedError):
                continue
            if datagram == b"punch":
                target[sock] = source
                received.add(sock)
    return len(received) == 2

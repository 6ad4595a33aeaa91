"""The NAT laboratory itself: each router does exactly what its recipe says, else no scenario proves anything.

    python3 -B tests/lab/test_recipes.py [-k PART_OF_A_NAME]
"""

import dataclasses
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from cases import NatTestCase, main  # noqa: E402
from classify import LONG, Classifier, Observer, open_udp, passes, punch  # noqa: E402
from nat_lab import (GATEWAY, GATEWAY6, RECIPES, Behaviour, Filtering, Mapping, NatLab,  # noqa: E402
                     Ports)


class EachRecipe(NatTestCase):
    """One test for each of RECIPES."""

    def classify(self, kind):
        with NatLab() as lab:
            site = lab.site(kind)
            self.assertEqual(Classifier(lab, site).behaviour(), site.recipe.behaviour)


for _kind in RECIPES:
    def _test(self, kind=_kind):
        self.classify(kind)
    setattr(EachRecipe, f"test_{_kind}", _test)


class Details(NatTestCase):
    """Numbers that scenarios rely on and that the classes of behaviour do not show."""

    def test_sequential_ports_are_neighbours_and_a_block_has_512_of_them(self):
        with NatLab() as lab:
            sequential = Classifier(lab, lab.site("symmetric_sequential"))
            sequential.behaviour()
            deltas = {after - before
                      for before, after in zip(sequential.samples, sequential.samples[1:])}
            self.assertEqual(deltas, {1})
        with NatLab() as lab:
            block = Classifier(lab, lab.site("symmetric_block"))
            block.behaviour()
            self.assertGreaterEqual(min(block.samples), 20_480)
            self.assertLess(max(block.samples), 20_480 + 512)

    def test_a_pool_uses_its_four_addresses_and_no_other(self):
        with NatLab() as lab:
            site, observer = lab.site("address_pool"), Observer(lab)
            seen = {self.end(lab, site, observer)[1][0] for _ in range(100)}
            self.assertEqual(seen, set(site.router.addresses))
            self.assertEqual(len(seen), 4)

    def test_a_hairpinned_packet_comes_from_the_external_address(self):
        with NatLab() as lab:
            site, observer = lab.site("full_cone_hairpin"), Observer(lab)
            one, mapped_one = self.end(lab, site, observer)
            other, mapped_other = self.end(lab, site, observer, 1)
            self.assertEqual(passes(one, mapped_other, other), mapped_one)
            self.assertEqual(passes(other, mapped_one, one), mapped_other, "and so does the answer")

    def test_hosts_of_one_lan_reach_each_other(self):
        with NatLab() as lab:
            site = lab.site("port_restricted")
            one, other = (open_udp(site.host(number), address=site.host(number).address)
                          for number in (0, 1))
            with one, other:
                self.assertEqual(passes(one, other.getsockname(), other), one.getsockname())
            self.assertEqual(site.host(0).address, "192.168.1.2")

    def test_a_changed_recipe_makes_a_router_of_its_own(self):
        recipe = dataclasses.replace(RECIPES["endpoint_independent_random"], closed=None)
        with NatLab() as lab:
            site, observer = lab.site(recipe), Observer(lab)
            sock, mapped = self.end(lab, site, observer)
            observer.first[1].sendto(b"poison", mapped)
            # The port cannot be chosen anew, so the flow is dropped altogether.
            self.assertIsNone(observer.mapped_address(sock, observer.first[1], expected=False))

    def test_every_router_lets_tcp_out(self):
        with NatLab() as lab, lab.gateway.open_socket() as listener:
            listener.bind((GATEWAY, 443))
            listener.listen()
            listener.settimeout(LONG)
            for kind, recipe in RECIPES.items():
                if not recipe.has_ipv4:
                    continue
                site = lab.site(kind)
                with self.subTest(kind), site.host().connect((GATEWAY, 443), LONG) as sock:
                    accepted, source = listener.accept()
                    with accepted:
                        accepted.sendall(b"relay")
                    self.assertEqual(sock.recv(5), b"relay")
                    self.assertIn(source[0], (site.router if recipe.translates else site.host()).addresses)


class Ipv6(NatTestCase):
    def test_beside_a_nat_ipv6_has_its_firewall_only(self):
        with NatLab() as lab:
            site = lab.site("full_cone", ipv6=True)
            found = Classifier(lab, site, RECIPES["ipv6_firewall"].behaviour, socket.AF_INET6)
            self.assertEqual(found.behaviour(), RECIPES["ipv6_firewall"].behaviour)
            found = Classifier(lab, site)
            self.assertEqual(found.behaviour(), site.recipe.behaviour)

    def test_without_it_a_host_has_no_ipv6_to_the_gateway(self):
        with NatLab() as lab, open_udp(lab.site("full_cone").host(), family=socket.AF_INET6) as sock:
            with self.assertRaises(OSError):
                sock.sendto(b"six", (GATEWAY6, 443))

    def test_two_firewalls_open_for_a_punch(self):
        with NatLab() as lab:
            observer = Observer(lab, socket.AF_INET6)
            (one, address_of_one), (other, address_of_other) = (
                self.end(lab, lab.site("ipv6_firewall"), observer, family=socket.AF_INET6)
                for _ in range(2))
            self.assertTrue(punch(one, address_of_one, other, address_of_other))


class TwoNats(NatTestCase):
    """Double NAT: mapping is the worst of both, filtering the strictest, ports are kept if both keep them."""

    def compose(self, carrier_kind, home_kind, expected):
        with NatLab() as lab:
            home = lab.carrier(carrier_kind).site(home_kind)
            self.assertTrue(home.address.startswith("100.64.0."))
            self.assertEqual(Classifier(lab, home, expected).behaviour(), expected)

    def test_mapping_and_ports_are_those_of_the_carrier(self):
        self.compose("symmetric_random", "full_cone",
                     Behaviour(Mapping.address_and_port_dependent, Filtering.address_and_port_dependent,
                               Ports.random))
        self.compose("endpoint_independent_random", "port_restricted",
                     Behaviour(Mapping.endpoint_independent, Filtering.address_and_port_dependent,
                               Ports.random))

    def test_mapping_and_ports_are_those_of_the_home(self):
        self.compose("full_cone", "symmetric_random",
                     Behaviour(Mapping.address_and_port_dependent, Filtering.address_and_port_dependent,
                               Ports.random))

    def test_filtering_is_the_strictest(self):
        self.compose("port_restricted", "full_cone",
                     Behaviour(Mapping.endpoint_independent, Filtering.address_and_port_dependent,
                               Ports.preserved))
        self.compose("full_cone", "address_restricted",
                     Behaviour(Mapping.endpoint_independent, Filtering.address_dependent,
                               Ports.preserved))
        self.compose("full_cone", "full_cone",
                     Behaviour(Mapping.endpoint_independent, Filtering.endpoint_independent,
                               Ports.preserved))

    def neighbours(self, carrier_kind, home_kind, external, internal):
        """Do two homes behind one carrier reach each other by external, and by 100.64 addresses?"""
        with NatLab() as lab:
            carrier, observer = lab.carrier(carrier_kind), Observer(lab)
            homes = [carrier.site(home_kind), carrier.site(home_kind)]
            self.assertEqual(homes[0].host().address, homes[1].host().address, "equal LANs, as in life")
            (one, mapped_one), (other, mapped_other) = (self.end(lab, home, observer) for home in homes)
            self.assertEqual(mapped_one[0], mapped_other[0])
            self.assertEqual(punch(one, mapped_one, other, mapped_other, external), external)
            (one, _), (other, _) = (self.end(lab, home, observer) for home in homes)
            guesses = [(home.address, sock.getsockname()[1])
                       for home, sock in zip(homes, (one, other))]
            self.assertEqual(punch(one, guesses[0], other, guesses[1], internal), internal)

    def test_neighbours_at_a_carrier_that_hairpins(self):
        self.neighbours("full_cone_hairpin", "port_restricted", external=True, internal=True)

    def test_neighbours_at_a_carrier_that_does_not_have_their_inner_addresses_only(self):
        self.neighbours("full_cone", "port_restricted", external=False, internal=True)

    def test_neighbours_whose_homes_change_ports_have_nothing(self):
        self.neighbours("full_cone", "endpoint_independent_random", external=False, internal=False)


class Pairs(NatTestCase):
    """Some cells of the pair matrix: two routers together do what each alone promises."""

    def pair(self, one_kind, other_kind, expected):
        with NatLab() as lab:
            observer = Observer(lab)
            one, mapped_one = self.end(lab, lab.site(one_kind), observer)
            other, mapped_other = self.end(lab, lab.site(other_kind), observer)
            self.assertEqual(punch(one, mapped_one, other, mapped_other, expected), expected)

    def test_endpoint_independent_mappings_open_by_observed_addresses(self):
        self.pair("port_restricted", "port_restricted", True)
        self.pair("endpoint_independent_random", "port_restricted_reject", True)

    def test_one_lenient_filter_is_enough(self):
        self.pair("full_cone", "symmetric_random", True)
        self.pair("symmetric_random", "address_restricted", True)

    def test_a_mapping_per_port_does_not_open_to_a_strict_filter(self):
        self.pair("symmetric_random", "port_restricted", False)

    def test_the_first_packet_poisons_an_open_input_and_the_second_does_not(self):
        self.pair("port_restricted", "port_restricted_open_input", False)
        self.pair("port_restricted_open_input", "port_restricted", True)

    def test_a_first_packet_that_dies_on_the_way_poisons_nobody(self):
        with NatLab() as lab:
            observer = Observer(lab)
            one, mapped_one = self.end(lab, lab.site("port_restricted"), observer)
            other, mapped_other = self.end(lab, lab.site("port_restricted_open_input"), observer)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 4)  # router, isp, core; the next isp drops
            one.sendto(b"opens the own router", mapped_other)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
            self.assertTrue(punch(other, mapped_other, one, mapped_one))


if __name__ == "__main__":
    main()

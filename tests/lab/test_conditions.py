"""The NAT laboratory itself: loss, delay and counters on the way, and sites and hosts that change.

    python3 -B tests/lab/test_conditions.py [-k PART_OF_A_NAME]
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from cases import NatTestCase, main  # noqa: E402
from classify import LONG, SHORT, Observer, await_token, open_udp, passes  # noqa: E402
from lab import LabError, tool, until  # noqa: E402
from lab.namespace import run  # noqa: E402
from nat_lab import GATEWAY, GATEWAY6, NatLab  # noqa: E402

IP_RECVTTL = 12  # of <linux/in.h>; Python 3.11 has no name for it


class OnTheWay(NatTestCase):
    """Loss, delay, counters, hops."""

    def count_arrivals(self, sender, receiver, packets):
        for _ in range(packets):
            sender.sendto(b"x", receiver.getsockname())
        receiver.settimeout(SHORT)
        count = 0
        try:
            while receiver.recv(16):
                count += 1
        except TimeoutError:
            return count

    def test_loss_hits_about_so_many_udp_packets_of_its_link_only(self):
        with NatLab() as lab:
            lossy, clean = lab.site(), lab.site()
            server = open_udp(lab.gateway, 443, GATEWAY)
            one, other = open_udp(lossy.host()), open_udp(clean.host())
            self.assertEqual(self.count_arrivals(one, server, 500), 500)
            lossy.link.set_loss(20)
            self.assertTrue(650 < self.count_arrivals(one, server, 1_000) < 950)
            self.assertEqual(self.count_arrivals(other, server, 500), 500)
            with self.assertRaises(ConnectionRefusedError):  # TCP is answered: no loss for it
                lossy.host().connect((GATEWAY, 1), LONG)
            lossy.link.set_loss(1.5)
            self.assertTrue(1_900 < self.count_arrivals(one, server, 2_000) < 2_000)
            lossy.link.set_loss(0)
            self.assertEqual(self.count_arrivals(one, server, 500), 500)
            lossy.link.set_loss(100, match="")
            with self.assertRaises(TimeoutError):
                lossy.host().connect((GATEWAY, 1), SHORT)
            for sock in (server, one, other):
                sock.close()

    def round_trip(self, sock, server):
        begun = time.monotonic()
        source = passes(sock, server.getsockname()[:2], server)
        self.assertIsNotNone(source)
        self.assertIsNotNone(passes(server, source, sock))
        return time.monotonic() - begun

    def test_delays_of_links_add_up_in_both_directions(self):
        with NatLab() as lab:
            far, near = lab.site(ipv6=True), lab.site()
            server, server6 = open_udp(lab.gateway, 443, GATEWAY), open_udp(lab.gateway, 443, GATEWAY6)
            one, other = open_udp(far.host()), open_udp(near.host())
            six = open_udp(far.host(), family=socket.AF_INET6)
            far.link.set_delay(0.06)
            self.assertGreaterEqual(self.round_trip(one, server), 0.12)
            self.assertGreaterEqual(self.round_trip(six, server6), 0.12)
            lab.gateway.link.set_delay(0.03)
            self.assertGreaterEqual(self.round_trip(one, server), 0.18)
            self.assertGreaterEqual(self.round_trip(other, server), 0.06)
            later = open_udp(lab.site().host())
            self.assertGreaterEqual(self.round_trip(later, server), 0.06, "also for a later site")
            far.link.set_loss(100)
            self.assertIsNone(passes(one, (GATEWAY, 443), server, expected=False))
            for sock in (server, server6, one, other, six, later):
                sock.close()

    def test_each_router_and_the_delay_cost_one_hop(self):
        with NatLab() as lab:
            server = open_udp(lab.gateway, 443, GATEWAY)
            server.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            server.settimeout(LONG)

            def hops(site):
                with open_udp(site.host()) as sock:
                    sock.sendto(b"x", (GATEWAY, 443))
                    ancillary = server.recvmsg(16, 64)[1]
                return 64 - int.from_bytes(ancillary[0][2][:4], sys.byteorder)

            self.assertEqual(hops(lab.site("public")), 2)  # isp, core
            self.assertEqual(hops(lab.site("public", hops=0)), 1)
            self.assertEqual(hops(lab.site("port_restricted", hops=4)), 6)
            home = lab.carrier().site()
            self.assertEqual(hops(home), 4)  # router, carrier, isp, core
            lab.gateway.link.set_delay(0.001)
            self.assertEqual(hops(home), 5)
            server.close()

    def test_counters_tell_direct_from_relayed(self):
        with NatLab() as lab:
            sites, observer = [lab.site("port_restricted"), lab.site("full_cone")], Observer(lab)
            sites[0].link.set_delay(0.001)  # delayed packets are counted once all the same
            direct = lab.core.count_udp(*sites)
            relayed = lab.core.count_udp(sites[0], lab.gateway)
            received = lab.gateway.count_udp(sites[0], lab.gateway)
            (one, mapped_one), (other, mapped_other) = (self.end(lab, site, observer) for site in sites)
            self.assertEqual((direct.packets, relayed.forth, relayed.back), (0, 1, 0))
            self.assertEqual((received.forth, received.back), (1, 0))
            for _ in range(5):
                passes(one, mapped_other, other)
            passes(other, mapped_one, one)
            self.assertEqual((direct.forth, direct.back, relayed.packets), (5, 1, 1))
            self.assertEqual(direct.packets, 6)
            direct.until(1)
            with self.assertRaises(LabError):
                direct.until(2, timeout=0.1)

    def test_the_network_can_be_cut_as_in_every_lab(self):
        with NatLab() as lab:
            site, observer = lab.site(), Observer(lab)
            sock, _ = self.end(lab, site, observer)
            lab.cut_network()
            self.assertIsNone(observer.mapped_address(sock, expected=False))
            lab.restore_network()
            self.assertIsNotNone(observer.mapped_address(sock))


class Changes(NatTestCase):
    """Roaming, reboots, lifetimes, suspension."""

    def test_a_host_that_roams_is_seen_from_the_other_site_with_the_same_socket(self):
        with NatLab() as lab:
            old, new, observer = lab.site("port_restricted"), lab.site("symmetric_random"), Observer(lab)
            cafe = lab.site("public")
            sock, mapped = self.end(lab, old, observer)
            host = old.host()
            self.assertEqual(mapped[0], old.address)
            new.host()
            host.move_to(new)
            self.assertEqual(host.address, "192.168.1.3")
            self.assertEqual(observer.mapped_address(sock)[0], new.address)
            host.move_to(cafe)
            self.assertEqual(observer.mapped_address(sock), (host.address, sock.getsockname()[1]))
            host.move_to(old)
            self.assertEqual(observer.mapped_address(sock)[0], old.address)

    def test_ipv6_is_lost_and_found_on_the_way(self):
        with NatLab() as lab:
            six, four, observer = lab.site(ipv6=True), lab.site(), Observer(lab, socket.AF_INET6)
            host = six.host()
            sock, mapped = self.end(lab, six, observer, family=socket.AF_INET6)
            self.assertEqual(mapped[0], host.address6)
            host.move_to(four)
            with self.assertRaises(OSError):
                sock.sendto(b"six", (GATEWAY6, 443))
            host.move_to(six)
            self.assertEqual(observer.mapped_address(sock)[0], host.address6)

    def test_a_reboot_changes_random_ports(self):
        with NatLab() as lab:
            site, observer = lab.site("symmetric_random"), Observer(lab)
            sock, before = self.end(lab, site, observer)
            self.assertEqual(observer.mapped_address(sock), before)
            site.router.reboot()
            self.assertNotEqual(observer.mapped_address(sock), before)

    def test_a_reboot_closes_what_was_open_and_the_next_packet_opens_it_again(self):
        for kind in ("port_restricted", "endpoint_independent_random", "full_cone", "address_restricted"):
            with self.subTest(kind), NatLab() as lab:
                site, observer = lab.site(kind), Observer(lab)
                sock, mapped = self.end(lab, site, observer)
                self.assertIsNotNone(passes(observer.first[0], mapped, sock))
                site.router.reboot()
                self.assertIsNone(passes(observer.first[0], mapped, sock, expected=False))
                self.assertEqual(observer.mapped_address(sock), mapped)
                self.assertIsNotNone(passes(observer.first[0], mapped, sock))

    def test_an_unanswered_mapping_dies_early_and_a_stream_lives_on(self):
        with NatLab() as lab:
            site, observer = lab.site("port_restricted"), Observer(lab)
            site.router.set_lifetime(unanswered=2, stream=60)
            (lonely, mapped_lonely), (busy, mapped_busy) = (
                self.end(lab, site, observer) for _ in range(2))

            def is_stream():
                passes(observer.first[0], observer.mapped_address(busy), busy)
                flows = run(["ip", "netns", "exec", site.router.name, tool("conntrack"), "-L", "-p", "udp"])
                return any(f"sport={busy.getsockname()[1]} " in flow and "[ASSURED]" in flow
                           for flow in flows.splitlines())

            until(is_stream, 20, "the kernel calls it a stream")
            time.sleep(3)
            self.assertIsNone(passes(observer.first[0], mapped_lonely, lonely, expected=False))
            self.assertIsNotNone(passes(observer.first[0], mapped_busy, busy))

    def test_traffic_out_keeps_a_full_cone_open_to_strangers_and_silence_does_not(self):
        with NatLab() as lab:
            site, observer = lab.site("full_cone"), Observer(lab)
            site.router.set_lifetime(unanswered=2, stream=2)
            sock, mapped = self.end(lab, site, observer)
            for _ in range(8):  # 4 s in steps of half a second, twice the lifetime
                time.sleep(0.5)
                observer.mapped_address(sock)
            self.assertIsNotNone(passes(observer.second[0], mapped, sock))
            time.sleep(3)
            self.assertIsNone(passes(observer.second[1], mapped, sock, expected=False))

    def test_a_suspended_host_stands_still_and_hears_nothing(self):
        with NatLab() as lab:
            site, observer = lab.site("full_cone"), Observer(lab)
            sock, mapped = self.end(lab, site, observer)
            clock = site.host().start(["sh", "-c", "while :; do echo tick; sleep 0.02; done"], "clock")
            clock.until(clock.output, 10, "the clock ticks")
            with site.host().suspended() as stopped:
                self.assertIn(clock.pid, stopped)
                self.assertIsNone(passes(observer.first[0], mapped, sock, expected=False))
                before = clock.output()
                time.sleep(0.3)
                self.assertEqual(clock.output(), before)
            clock.until(lambda: len(clock.output()) > len(before), 10, "the clock ticks again")
            self.assertEqual(observer.mapped_address(sock), mapped)

    def test_without_its_cable_a_host_keeps_its_address_and_comes_back(self):
        with NatLab() as lab:
            site, observer = lab.site(), Observer(lab)
            sock, mapped = self.end(lab, site, observer)
            site.host().unplug()
            token = b"never"
            try:
                sock.sendto(token, (GATEWAY, 443))
            except OSError:
                pass  # the route may be gone for good reason: its interface has no carrier
            self.assertIsNone(await_token(observer.first[0], token, expected=False))
            site.host().plug_in()
            self.assertEqual(observer.mapped_address(sock), mapped)


class Housekeeping(NatTestCase):
    """Labs do not meet, and leave nothing behind."""

    @staticmethod
    def left_by(process, number=""):
        return [entry.name for folder in ("/run/netns", "/etc/netns") if Path(folder).is_dir()
                for entry in Path(folder).iterdir() if entry.name.startswith(f"nl{process}-{number}")]

    def test_two_labs_stand_side_by_side(self):
        with NatLab() as one, NatLab() as other:
            seen = []
            for lab in (one, other):
                site, observer = lab.site(), Observer(lab)
                seen.append(self.end(lab, site, observer)[1][0])
            self.assertEqual(seen[0], seen[1], "equal addresses, and yet not the same network")

    def test_a_failing_scenario_leaves_nothing(self):
        with self.assertRaisesRegex(LabError, "no recipe is called cone"):
            with NatLab() as lab:
                lab.site().host()
                number = lab.number
                folder = lab.folder
                lab.site("cone")
        self.assertEqual(self.left_by(os.getpid(), f"{number}-"), [])
        self.assertFalse(folder.exists())

    def test_an_interrupted_scenario_leaves_nothing(self):
        program = ("import signal, sys, time; sys.path[:0] = sys.argv[1:]\n"
                   # Who starts the tests in the background may have it ignored.
                   "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                   "from nat_lab import NatLab\n"
                   "with NatLab() as lab:\n"
                   "    lab.site().link.set_delay(0.01)\n"
                   "    lab.sites[0].host().start(['sleep', '1000'])\n"
                   "    print('ready', flush=True); time.sleep(1000)\n")
        child = subprocess.Popen([sys.executable, "-B", "-c", program, *sys.path[:2]],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        with child.stdout:
            self.assertEqual(child.stdout.readline(), "ready\n")
            self.assertTrue(self.left_by(child.pid))
            child.send_signal(signal.SIGINT)
            child.wait(30)
        self.assertEqual(self.left_by(child.pid), [])


if __name__ == "__main__":
    main()

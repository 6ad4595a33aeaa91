"""A router's port mapping: the real miniupnpd beside the rules of the router."""

import re

from lab import tool
from lab.namespace import run

# miniupnpd fills its own chains. The router's filter drops what comes in unasked, so it has to let through
# what these have redirected.
CHAINS = """
table inet upnp { }
delete table inet upnp
table inet upnp {
    chain prerouting { type nat hook prerouting priority dstnat - 10; policy accept; jump mapped; }
    chain postrouting { type nat hook postrouting priority srcnat - 10; policy accept; jump mapped_out; }
    chain forward { type filter hook forward priority -10; policy accept; jump mapped_forward; }
    chain mapped { }
    chain mapped_out { }
    chain mapped_forward { }
}
insert rule inet fw forward iifname "wan" ct status dnat accept
"""

CONFIGURATION = """
ext_ifname=wan
listening_ip=lan
ext_ip={external}
enable_natpmp={nat_pmp}
enable_upnp={upnp}
secure_mode=yes
min_lifetime=10
max_lifetime=86400
uuid=6f1dd9dc-5b0d-4b0c-8f8a-0d6a5b1e7f10
http_port=5000
system_uptime=yes
notify_interval=900
clean_ruleset_interval=0
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=mapped_forward
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=mapped_out
lease_file={folder}/leases
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class PortMappingService:
    """miniupnpd on a router of the lab, with NAT-PMP (and PCP), UPnP-IGD, or both.

    `external` is the address that it says it has. It refuses reserved ones: give the site a ROUTABLE block.
    """

    def __init__(self, lab, router, nat_pmp=False, upnp=False, external=None):
        self.router = router
        folder = lab.folder / lab.unused_name("miniupnpd")
        folder.mkdir()
        configuration = folder / "miniupnpd.conf"
        configuration.write_text(CONFIGURATION.format(
            external=external or router.address, folder=folder,
            nat_pmp="yes" if nat_pmp else "no", upnp="yes" if upnp else "no"))
        router.firewall(CHAINS)
        self.process = lab.start([tool("miniupnpd"), "-d", "-f", configuration, "-P", folder / "pid"], "miniupnpd",
                                 router)
        self.process.until(lambda: "istening " in self.process.error() or not self.process.running(), 5,
                           "miniupnpd listens")

    def mappings(self):
        """(external port, internal address, internal port) of each mapping."""
        rules = run(["ip", "netns", "exec", self.router.name, tool("nft"), "list", "chain", "inet", "upnp", "mapped"])
        return [(int(outside), inside, int(port)) for outside, inside, port in
                re.findall(r"dport (\d+) .*?dnat ip to ([\d.]+):(\d+)", rules)]

    def stop(self):
        self.process.stop()

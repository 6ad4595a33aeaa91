"""How long a NAT remembers a mapping that nobody uses: found out by the gateway a minute after the other surveys."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import Agent, Client, Gateway, Scenario, main, until  # noqa: E402
from nat_lab import NatLab  # noqa: E402

# The survey looks after 12, 25, 55 and 115 s. Linux has one lifetime until a flow is two seconds old, and another then.
EXPECTED = {
    # name: kind of router, its two lifetimes in seconds, what the client is told
    "medium": ("port_restricted", (20, 40), ", kept when idle for 25 s but not for 55 s"),
    "short": ("port_restricted", (3, 6), ", forgotten when idle for 12 s"),
    "long": ("symmetric_random", (30, 120), ", kept when idle for 115 s"),
    "none": ("public", None, "no NAT"),
}


class MappingLifetime(Scenario):
    laboratory = NatLab

    def test_each_router_is_found_out(self):
        gateway = Gateway(self.lab).start()
        for name, (kind, lifetimes, _) in EXPECTED.items():
            site = self.lab.site(kind)
            if lifetimes:
                site.router.set_lifetime(*lifetimes)
            Agent(self.lab, gateway.token("agent", name), name, namespace=site.host(0)).start()
        client = Client(self.lab, gateway.token("client", "away"), "away", namespace=self.lab.site("public").host(0))

        def told():
            return {agent["name"]: agent.get("nat", "") for agent in client.list()}

        try:
            until(lambda: sum("when idle" in nat for nat in told().values()) == 3, 270, "all lifetimes are known")
        finally:
            nats = told()
        for name, (_, _, expected) in EXPECTED.items():
            self.assertIn(expected, nats[name])
        self.assertNotIn("when idle", nats["none"])


if __name__ == "__main__":
    main()

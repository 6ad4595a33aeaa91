"""Where throughput is measured: two machines on one wire, with a gateway beside it, or everything on one machine."""

from lab import Lab

from .. import machine

NEAR, FAR, GATEWAY = "10.77.0.1", "10.77.0.2", "10.77.0.3"


class Wire(Lab):
    """Three machines, each with one address and a veth to each other one; the gateway is not on the direct path.

        client 10.77.0.1 ────────── agent 10.77.0.2
                    └── gateway 10.77.0.3 ──┘
    """

    def __init__(self, programs, name, mtu):
        self.name, self.mtu = name, mtu
        self.title = f"veth, MTU {mtu}"
        self.near_address, self.far_address, self.gateway_address = NEAR, FAR, GATEWAY
        super().__init__(programs)

    def _build(self):
        self.client, self.agent, self.gateway = (self._machine(f"{self.name}-{role}")
                                                 for role in ("near", "far", "gateway"))
        self._join(self.client, NEAR, self.agent, FAR, "direct")
        self._join(self.client, NEAR, self.gateway, GATEWAY, "gateway1")
        self._join(self.agent, FAR, self.gateway, GATEWAY, "gateway2")
        for namespace in (self.client, self.agent, self.gateway):
            with namespace.entered():
                machine.choose_congestion()

    def _join(self, one, one_address, other, other_address, interface):
        one.configure([f"link add {interface} mtu {self.mtu} type veth peer name {interface} mtu {self.mtu} "
                       f"netns {other.name}"])
        for namespace, here, there in ((one, one_address, other_address), (other, other_address, one_address)):
            namespace.configure([f"address add {here}/32 dev {interface}", f"link set {interface} up",
                                 f"route add {there}/32 dev {interface} src {here} congctl cubic"])


class Loopback(Lab):
    """All on one machine that has nothing but loopback."""

    def __init__(self, programs, mtu):
        self.name, self.mtu = f"loopback{mtu}", mtu
        self.title = f"loopback, MTU {mtu}"
        self.near_address = self.far_address = self.gateway_address = "127.0.0.1"
        super().__init__(programs)

    def _build(self):
        self.client = self.agent = self.gateway = self._machine(self.name)
        self.client.configure([f"link set lo mtu {self.mtu}"])
        with self.client.entered():
            machine.choose_congestion()

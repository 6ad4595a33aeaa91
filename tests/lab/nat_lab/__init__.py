"""A laboratory of NATs: every router type of RFC 4787's vocabulary, in network namespaces.

Built on the laboratory of the end-to-end tests, so `tests/e2e` has to be on `sys.path`.
"""

from .conditions import Link, UdpCounter
from .machines import Core, Host, Machine, Router, Segment
from .port_mapping import PortMappingService
from .recipes import RECIPES, Behaviour, Filtering, Mapping, Ports, Recipe
from .topology import GATEWAY, GATEWAY6, ROUTABLE, SECOND_GATEWAY, SECOND_GATEWAY6, NatLab, Site

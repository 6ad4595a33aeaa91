"""The laboratory of the end-to-end tests: network namespaces, real servers, the three programs."""

from .capture import Capture
from .errors import LabError, until
from .laboratory import (AGENT_LAN, AGENT_LAN6, AGENT_NAT, BLACK_HOLE, BLACK_HOLE6, CLIENT_NAT, GATEWAY,
                         GATEWAY6, STRANGER, Lab)
from .programs import JOIN_STRING, Agent, Client, Exit, Forward, Gateway, start_all
from .scenario import Scenario, main
from .servers import Authority, Dnsmasq, Iperf3, Nginx, Sshd, pin_of, self_signed_certificate, tool
from .traffic import (PacedStream, Pattern, TcpServer, UdpEcho, echo, exchange, read_exactly,
                      read_to_end, send_reset)
from .web import JoinString, RawWebSocket, Response, read_head, request, tls, upgrade_fields

"""A router's NAT-PMP (RFC 6886) as far as it tells its external address; a program of its own.

    nat_pmp.py ADDRESS
"""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
    service.bind(("", 5351))
    while True:
        question, node = service.recvfrom(64)
        if question == bytes(2):
            service.sendto(bytes([0, 128, 0, 0, 0, 0, 0, 1]) + socket.inet_aton(sys.argv[1]), node)

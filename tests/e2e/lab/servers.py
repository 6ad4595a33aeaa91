"""Real servers from Debian, each with its own configuration in the lab's folder."""

import base64
import hashlib
import os
import shutil
import socket
from pathlib import Path

from .errors import LabError


def tool(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if found is None:
        raise LabError(f"{name} is not installed; scripts/test installs it")
    return found


class Sshd:
    """OpenSSH's server for the current user, with keys made for this run only."""

    def __init__(self, lab, namespace):
        self.lab = lab
        self.folder, _ = lab.home("sshd")
        self.port = namespace.free_port()
        self.target = f"127.0.0.1:{self.port}"
        for name in ("host_key", "user_key"):
            lab.check([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name],
                      None)
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        host_key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"* {host_key}")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without
        configuration = self.folder / "sshd_config"
        configuration.write_text(f"""\
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
PidFile none
AuthorizedKeysFile {self.folder}/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitUserRC no
PrintMotd no
UseDNS no
Subsystem sftp internal-sftp
""")
        self.process = lab.start([tool("sshd"), "-D", "-e", "-f", configuration], "sshd", namespace)
        self.process.until(lambda: namespace.listens(self.port), 10, "sshd listens")

    def options(self, proxy_command):
        """Options of ssh, scp and `rsync -e` that lead to this server and nowhere else."""
        return ["-F", "none", "-i", str(self.folder / "user_key"),
                "-o", f"UserKnownHostsFile={self.folder}/known_hosts",
                "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes",
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectionAttempts=1",
                "-o", "ControlPath=none", "-o", f"Port={self.port}",
                "-o", f"ProxyCommand={proxy_command}"]

    def logins(self):
        return self.process.error().count("Accepted publickey")


class Nginx:
    """nginx with the given `server` blocks."""

    def __init__(self, lab, namespace, servers, port, name="nginx"):
        folder, _ = lab.home(name)
        configuration = folder / "nginx.conf"
        temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration.write_text(f"""\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000;
{temporary}
{servers}
}}
""")
        self.port = port
        self.process = lab.start([tool("nginx"), "-p", folder, "-e", "stderr", "-c", configuration],
                                 name, namespace)
        self.process.until(lambda: namespace.listens(port), 10, "nginx listens")


class Dnsmasq:
    """A DNS server for lab.test: it knows the given records and nothing else."""

    def __init__(self, lab, namespace, addresses=(), texts=(), port=53):
        self.port = port
        self.target = f"127.0.0.1:{port}"
        command = [tool("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-",
                   "--user=root", "--pid-file", "--no-resolv", "--no-hosts", "--no-poll",
                   "--listen-address=127.0.0.1", "--bind-interfaces", f"--port={port}",
                   "--local=/lab.test/", "--edns-packet-max=4096", "--cache-size=0"]
        command += [f"--host-record={name},{','.join(values)}" for name, values in addresses]
        command += [f"--txt-record={name},{','.join(parts)}" for name, parts in texts]
        self.process = lab.start(command, "dnsmasq", namespace)
        self.process.until(lambda: namespace.listens(port, socket.SOCK_DGRAM), 10, "dnsmasq listens")


class Iperf3:
    def __init__(self, lab, namespace):
        self.port = namespace.free_port()
        self.target = f"127.0.0.1:{self.port}"
        self.process = lab.start([tool("iperf3"), "-s", "-p", str(self.port), "--forceflush"],
                                 "iperf3-server", namespace)
        self.process.until(lambda: namespace.listens(self.port), 10, "iperf3 listens")


def self_signed_certificate(lab, folder, name, subject):
    """Makes FOLDER/NAME.pem and NAME.key; `subject` is an IP address or a host name."""
    kind = "IP" if subject.replace(".", "").isdigit() or ":" in subject else "DNS"
    certificate, key = Path(folder, f"{name}.pem"), Path(folder, f"{name}.key")
    lab.check([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "30", "-subj", f"/CN={subject}",
               "-addext", f"subjectAltName={kind}:{subject}", "-keyout", key, "-out", certificate], None)
    return certificate, key


def pin_of(lab, certificate):
    """The pin of docs/protocol.md: base64url of the SHA-256 of the public key (SubjectPublicKeyInfo)."""
    public = lab.check([tool("openssl"), "x509", "-in", certificate, "-noout", "-pubkey"], None).out
    der = base64.b64decode("".join(public.splitlines()[1:-1]))
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


class Authority:
    """A certificate authority for this run; programs trust it with SSL_CERT_FILE."""

    def __init__(self, lab):
        self.lab = lab
        self.folder, _ = lab.home("authority")
        self.certificate, self._key = self_signed_certificate(lab, self.folder, "authority", "lab.test")
        self.environment = {"SSL_CERT_FILE": str(self.certificate)}

    def issue(self, address):
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        request, extension = self.folder / "server.csr", self.folder / "server.ext"
        extension.write_text(f"subjectAltName=IP:{address}\nbasicConstraints=critical,CA:FALSE\n")
        self.lab.check([tool("openssl"), "req", "-new", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={address}",
                        "-keyout", key, "-out", request], None)
        self.lab.check([tool("openssl"), "x509", "-req", "-in", request, "-CA", self.certificate,
                        "-CAkey", self._key, "-CAcreateserial", "-days", "30", "-extfile", extension,
                        "-out", certificate], None)
        return certificate, key

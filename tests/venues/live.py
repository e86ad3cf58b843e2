"""Sockets hosts, sites and certificates for tests over loopback."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import threading

from nanotick.wire.requests import Response
from tests.patience import wait_until

TICK_S = 0.003


def until(host, condition):
    """Run a host until something is so."""
    wait_until(condition, lambda: host.run(TICK_S))


class Kept:
    """A link's user that keeps what it is told."""

    def __init__(self, echo=False):
        self.link = None
        self.messages = []
        self.stamps = []
        self.ends = []
        self.echo = echo

    def opened(self, link):
        self.link = link

    def message(self, link, data, now):
        self.messages.append(bytes(data))
        self.stamps.append(now)
        if self.echo:
            link.send(data)

    def closed(self, link, reason):
        self.ends.append((link, reason))

    @property
    def reason(self):
        assert len(self.ends) == 1, self.ends
        return self.ends[0][1]


class PlainSite:
    """Echoes bodies and messages; keeps what it is asked."""

    def __init__(self, answer=None, echo=True):
        self.requests = []
        self.peers = []
        self.users = []
        self.answer = answer
        self.echo = echo
        self.held = []

    def request(self, request, peer, answer):
        self.requests.append(request)
        self.peers.append(peer)
        if self.answer is not None:
            self.answer(request, answer)
        else:
            answer(Response(200, (("Content-Type", "text/plain"), ("X-Path", request.path)), request.body))

    def upgrade(self, path, headers, peer):
        if path.startswith("/refused"):
            return Response(401, (("Content-Type", "application/json"),), b'{"message":"who are you"}')
        if path.startswith("/broken"):
            raise RuntimeError("the site has a bug")
        user = Kept(self.echo)
        user.path, user.headers = path, headers
        self.users.append(user)
        return user


class RawServer:
    """A listening socket whose every connection is handled by a function in a thread: misbehaviour by the byte."""

    def __init__(self, handle):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.handle = handle
        self.connections = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        with peer:
            try:
                self.handle(peer)
            except OSError:
                pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def make_certificate(directory, name="localhost", stem="cert"):
    """PEM files of a certificate that is its own authority, and of its key; `localhost` is 127.0.0.1 too."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / f"{stem}.pem", directory / f"{stem}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file

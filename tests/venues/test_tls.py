"""TLS at both ends: who is trusted, and who is not."""

import socket
import ssl
import threading

import pytest

from nanotick.venues.sockets import Sockets
from nanotick.venues.tls import client_context, server_context
from nanotick.wire.requests import Request
from tests.venues.live import Kept, PlainSite, RawServer, make_certificate, until
from tests.venues.test_websockets import accept

pytest.importorskip("cryptography", reason="needs the extra live: pip install 'nanotick[live]'")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["waiting", "spinning"])
def host(request, certificate):
    with Sockets(ca_file=certificate[0], spin=request.param == "spinning") as host:
        yield host
    assert host.errors == 0


def opened(host, url):
    user = Kept()
    host.connect(url, user)
    until(host, lambda: user.link or user.ends)
    return user


def fetched(host, base):
    got = []
    host.ask(base, Request("POST", "/x", body=b"hello"), got.append)
    until(host, lambda: got)
    return got[0]


def test_requests_and_messages_pass_through_tls(host, certificate):
    port = host.serve(PlainSite(), certificate=certificate[0], key=certificate[1])
    for name in ("localhost", "127.0.0.1"):
        assert fetched(host, f"https://{name}:{port}").body == b"hello"
        user = opened(host, f"wss://{name}:{port}/ws")
        data = [b"a", b"b" * 70_000, b"c" * 1_000_000]
        for each in data:
            user.link.send(each)
        until(host, lambda user=user, data=data: user.messages == data)


def test_an_authority_that_nobody_named_is_not_trusted(certificate):
    with Sockets() as host:
        port = host.serve(PlainSite(), certificate=certificate[0], key=certificate[1])
        assert b"CERTIFICATE_VERIFY_FAILED" in fetched(host, f"https://localhost:{port}").body
        user = opened(host, f"wss://localhost:{port}/ws")
        assert user.ends[0][0] is None and "CERTIFICATE_VERIFY_FAILED" in user.reason


def test_a_certificate_for_another_name_is_refused(tmp_path):
    certificate, key = make_certificate(tmp_path, "venue.example")
    with Sockets(ca_file=certificate) as host:
        site = PlainSite()
        port = host.serve(site, certificate=certificate, key=key)
        assert b"ostname mismatch" in fetched(host, f"https://localhost:{port}").body
        assert "ostname mismatch" in opened(host, f"wss://localhost:{port}/ws").reason
        assert "mismatch" in opened(host, f"wss://127.0.0.1:{port}/ws").reason
        assert site.requests == [] and site.users == []


def test_no_plaintext_to_a_tls_port_and_no_tls_to_a_plain_one(host, certificate):
    site = PlainSite()
    secure, plain = host.serve(site, certificate=certificate[0], key=certificate[1]), host.serve(site)
    assert fetched(host, f"http://127.0.0.1:{secure}").status == 0
    assert fetched(host, f"https://localhost:{plain}").status == 0
    assert opened(host, f"ws://127.0.0.1:{secure}/ws").ends[0][0] is None
    assert opened(host, f"wss://localhost:{plain}/ws").ends[0][0] is None
    assert site.requests == [] and site.users == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_versions_before_1_2_are_refused_by_both_ends(host, certificate):
    port = host.serve(PlainSite(), certificate=certificate[0], key=certificate[1])
    failed = []

    def old_client():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as peer, context.wrap_socket(peer):
                pass
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=old_client)
    thread.start()
    until(host, lambda: not thread.is_alive())
    assert failed
    assert client_context().minimum_version == server_context(*certificate).minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context().check_hostname and client_context().verify_mode == ssl.CERT_REQUIRED


def test_a_reset_right_behind_the_last_data_is_noticed(certificate):
    import struct

    def handle(peer):
        accept(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Sockets() as host:
        for _ in range(5):
            with RawServer(handle) as server:
                user = opened(host, f"ws://127.0.0.1:{server.port}/")
                until(host, lambda user=user: user.ends)


def test_files_that_are_no_certificates_are_named(tmp_path, certificate):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ssl.SSLError):
        client_context(empty)
    with pytest.raises(OSError):
        server_context(tmp_path / "missing.pem", certificate[1])
    with pytest.raises(ssl.SSLError):
        server_context(certificate[0], make_certificate(tmp_path)[1])

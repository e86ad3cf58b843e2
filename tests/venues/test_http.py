"""HTTP over loopback sockets: our client and server against each other and against the misbehaviour of others."""

import json
import random
import socket
import struct
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.venues.http_client import MAX_CONNECTIONS, RequestError, encode_request, split_base
from nanotick.venues.sockets import Sockets
from nanotick.wire.requests import Request, Response
from tests.venues.live import PlainSite, RawServer, until

MS = 1_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def host():
    with Sockets() as host:
        yield host
    assert host.errors == 0


def asked(host, base, request=None, timeout_ns=5_000 * MS, count=1):
    """The answers to `count` requests sent at once."""
    got = []
    for _ in range(count):
        host.ask(base, request or Request("GET", "/x"), got.append, timeout_ns)
    assert got == []  # never at once
    until(host, lambda: len(got) == count)
    return got if count > 1 else got[0]


def served(host, answer=None):
    site = PlainSite(answer)
    return site, f"http://127.0.0.1:{host.serve(site)}"


def raw(port, data, host, seconds=2.0):
    """What comes back for bytes until the other end closes or is done."""
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        peer.setblocking(False)
        peer.send(data)
        got = b""
        for _ in range(int(seconds / 0.005)):
            host.run(0.005)
            try:
                piece = peer.recv(1 << 16)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                break
            if not piece:
                break
            got += piece
        return got


def test_a_request_arrives_as_it_was_sent_and_so_does_its_answer(host):
    site, base = served(host)
    request = Request(
        "POST", "/v2/orders?x=1&y=%20", (("X-Key", "k"), ("Content-Type", "application/json")), b'{"a":1}'
    )
    response = asked(host, base, request)
    assert response.status == 200 and response.body == b'{"a":1}'
    assert ("X-Path", "/v2/orders?x=1&y=%20") in response.headers
    got = site.requests[0]
    assert got.method == "POST" and got.path == request.path and got.body == request.body
    assert set(request.headers) <= set(got.headers) and ("Accept-Encoding", "identity") in got.headers
    assert site.peers == ["127.0.0.1"]


def test_connections_are_kept_and_bounded(host):
    _site, base = served(host)
    for _ in range(20):
        assert asked(host, base).status == 200
    assert len(host._pools[base]._open) == 1
    assert [r.status for r in asked(host, base, count=200)] == [200] * 200
    assert len(host._pools[base]._open) <= MAX_CONNECTIONS


def test_answers_find_their_own_requests(host):
    _site, base = served(host)
    got = {}
    for n in range(300):
        host.ask(base, Request("POST", f"/{n}", body=str(n).encode()), lambda r, n=n: got.update({n: r}))
    until(host, lambda: len(got) == 300)
    assert all(got[n].body == str(n).encode() for n in got)


def test_large_bodies_and_empty_ones(host):
    def answer(request, tell):
        tell(Response(204) if request.path == "/none" else Response(200, (), b"z" * 5_000_000))

    _, base = served(host, answer)
    assert len(asked(host, base).body) == 5_000_000
    assert asked(host, base, Request("DELETE", "/none"))[0::2] == (204, b"")
    assert len(asked(host, base).body) == 5_000_000


def test_no_answer_in_time_is_status_0_and_comes_once(host):
    held = []
    _, base = served(host, lambda request, tell: held.append(tell))
    response = asked(host, base, timeout_ns=50 * MS)
    assert response.status == 0 and b"no answer in time" in response.body
    held[0](Response(200))  # too late, and twice
    held[0](Response(200))
    host.run(0.05)
    assert len(held) == 1


def test_nobody_listens(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    responses = asked(host, f"http://127.0.0.1:{port}", count=3)
    assert all(r.status == 0 and b"not sent: cannot connect" in r.body for r in responses)


def test_requests_that_find_no_free_connection_in_time_were_not_sent(host):
    held = []
    _, base = served(host, lambda request, tell: held.append(tell))
    responses = asked(host, base, timeout_ns=100 * MS, count=MAX_CONNECTIONS + 5)
    assert len(held) == MAX_CONNECTIONS
    assert sum(b"not sent" in r.body for r in responses) == 5 and {r.status for r in responses} == {0}


@pytest.mark.parametrize(
    "base", ["ftp://x", "nonsense", "http://", "http://x/path", "http://x:99999", "http://[::1", "https://x?y"]
)
def test_a_base_that_is_no_address(host, base):
    response = asked(host, base)
    assert response.status == 0 and b"not sent" in response.body


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/x y"),
        Request("GET", "/x\r\nX-Evil: 1"),
        Request("GET", "/x", (("A", "b\r\nX-Evil: 1"),)),
        Request("GET", "/x", (("A", "b\nc"),)),
        Request("GET\r\n", "/x"),
        Request("GET", ""),
        Request("GET", "/x", (("A", "\u20ac"),)),
    ],
)
def test_a_request_that_would_be_another_one_is_not_sent(host, request_):
    site, base = served(host)
    response = asked(host, base, request_)
    assert response.status == 0 and b"not sent" in response.body and site.requests == []


@given(
    st.text(st.characters(codec="latin-1"), min_size=1, max_size=30),
    st.lists(
        st.tuples(
            st.text(st.characters(codec="latin-1"), max_size=8), st.text(st.characters(codec="latin-1"), max_size=20)
        )
    ),
    st.binary(max_size=50),
)
def test_an_encoded_request_has_as_many_lines_as_headers(path, headers, body):
    try:
        data = encode_request(Request("POST", path, tuple(headers), body), "Host: x\r\n")
    except RequestError:
        return
    head, _, rest = data.partition(b"\r\n\r\n")
    assert rest == body and len(head.split(b"\r\n")) == len(headers) + 3
    assert head.count(b"\n") == head.count(b"\r") == len(headers) + 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "connection lost before the whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "connection lost before the whole answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "connection lost"),
        (b"HTTP/1.1 200 OK\r\nX: y", "connection lost"),
        (b"\x16\x03\x01\x02\x00" * 20, "no HTTP"),
        (b"SMTP ready\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000, "headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "no HTTP"),
    ],
)
def test_what_is_no_whole_answer_is_status_0(host, answer, reason):
    with RawServer(lambda peer: (peer.recv(4096), peer.sendall(answer))) as server:
        response = asked(host, f"http://127.0.0.1:{server.port}")
    assert response.status == 0 and reason.encode() in response.body


def test_a_reset_in_place_of_an_answer(host):
    def handle(peer):
        peer.recv(4096)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with RawServer(handle) as server:
        assert asked(host, f"http://127.0.0.1:{server.port}").status == 0


def test_an_endless_body_is_cut_at_the_bound(host, monkeypatch):
    monkeypatch.setattr("nanotick.venues.http_client.MAX_BODY", 1 << 20)

    def handle(peer):
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    with RawServer(handle) as server:
        response = asked(host, f"http://127.0.0.1:{server.port}")
    assert response.status == 0 and b"more than 1,048,576 bytes" in response.body


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no" + b"k\r\n1\r\n!\r\n0\r\n\r\n", b"ok!"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_answers_of_every_shape_byte_by_byte(host, answer, body):
    def handle(peer):
        peer.recv(4096)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(answer)):
            peer.sendall(answer[n : n + 1])

    with RawServer(handle) as server:
        response = asked(host, f"http://127.0.0.1:{server.port}")
    assert response.status == (404 if b"404" in answer else 200) and response.body == body
    assert not any(name == "Link" for name, _ in response.headers)


def test_a_second_answer_that_nobody_asked_for_is_never_taken_for_the_next_one(host):
    def handle(peer):
        peer.recv(4096)
        peer.sendall(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        if peer.recv(4096):
            peer.sendall(OK)

    with RawServer(handle) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert asked(host, base).body == b"ok"
        assert asked(host, base).body == b"ok"
        assert server.connections == 2


def test_nothing_is_sent_twice_when_a_kept_connection_is_lost(host):
    seen = []

    def handle(peer):
        seen.append(peer.recv(4096))
        peer.sendall(OK)
        seen.append(peer.recv(4096))  # the second request is read, and the connection closed without an answer

    with RawServer(handle) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert asked(host, base).status == 200
        assert asked(host, base, Request("POST", "/order", body=b"x")).status == 0
        host.run(0.1)
        assert server.connections == 1 and sum(b"POST" in data for data in seen) == 1


def test_a_connection_that_closes_while_idle_costs_no_request(host):
    with RawServer(lambda peer: (peer.recv(4096), peer.sendall(OK))) as server:
        base = f"http://127.0.0.1:{server.port}"
        for _ in range(3):
            assert asked(host, base).status == 200
            host.run(0.05)
        assert server.connections == 3


def test_an_idle_connection_is_dropped_after_a_while(host, monkeypatch):
    monkeypatch.setattr("nanotick.venues.http_client.IDLE_S", 0.1)
    _, base = served(host)
    assert asked(host, base).status == 200
    host.run(0.3)
    assert not host._pools[base]._open
    assert asked(host, base).status == 200


def test_another_client_understands_our_server(host):
    import threading

    _, base = served(host)
    got = []

    def fetch():
        with urllib.request.urlopen(urllib.request.Request(f"{base}/a", b"data"), timeout=5) as answer:
            got.append((answer.status, answer.read()))

    thread = threading.Thread(target=fetch)
    thread.start()
    until(host, lambda: not thread.is_alive())
    assert got == [(200, b"data")]


def test_requests_sent_ahead_are_answered_in_their_order(host):
    held = []
    _site, base = served(host, lambda request, tell: held.append((request.path, tell)))
    port = int(base.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        peer.sendall(b"".join(f"GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(3)))
        got = b""
        for n in range(3):
            until(host, lambda n=n: len(held) == n + 1)  # one at a time
            host.run(0.02)
            assert len(held) == n + 1
            held[n][1](Response(200, (), held[n][0].encode()))
            host.run(0.01)
            got += peer.recv(4096)
    assert [part[-2:] for part in got.split(b"HTTP/1.1 200 OK")[1:]] == [b"/0", b"/1", b"/2"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),  # TLS to a plain port
        (b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"y" * 1_100_000, 413),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
    ],
)
def test_requests_that_are_none_are_refused_with_the_reason(host, data, status):
    site, base = served(host)
    got = raw(int(base.rpartition(":")[2]), data, host)
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got[:100]
    assert not site.requests and b"close" in got.lower()


def test_a_request_that_never_ends_is_given_up(host, monkeypatch):
    monkeypatch.setattr("nanotick.venues.http_server.REQUEST_S", 0.1)
    _site, base = served(host)
    got = raw(int(base.rpartition(":")[2]), b"GET /x HTTP/1.1\r\nHost", host)
    assert got.startswith(b"HTTP/1.1 408") and json.loads(got.partition(b"\r\n\r\n")[2])["message"]


def test_a_site_that_fails_is_500_and_the_next_request_is_served(capsys):
    calls = []

    def answer(request, tell):
        calls.append(request)
        if len(calls) == 1:
            raise ValueError("a bug in a site")
        tell(Response(200))

    with Sockets() as host:
        _, base = served(host, answer)
        assert asked(host, base).status == 500 and host.errors == 1
        assert asked(host, base).status == 200
    assert "a bug in a site" in capsys.readouterr().err


def test_an_answers_taker_that_fails_harms_nobody(capsys):
    def bad(response):
        raise ValueError("a bug in a trader")

    with Sockets() as host:
        _, base = served(host)
        host.ask(base, Request("GET", "/x"), bad)
        assert asked(host, base).status == 200
        until(host, lambda: host.errors == 1)
    assert "a bug in a trader" in capsys.readouterr().err


def test_garbage_of_any_kind_leaves_the_server_serving(host):
    _site, base = served(host)
    port = int(base.rpartition(":")[2])
    random.seed(5)
    good = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    for _ in range(150):
        data = bytearray(good)
        for _ in range(random.randrange(1, 6)):
            data[random.randrange(len(data))] = random.randrange(256)
        with socket.create_connection(("127.0.0.1", port), 5) as peer:
            peer.send(bytes(data))
            host.run(0.002)
    until(host, lambda: not list(host._open))
    assert asked(host, base).status == 200


def test_splitting_a_base():
    assert split_base("http://127.0.0.1:80/") == (False, "127.0.0.1", 80, "127.0.0.1:80")
    assert split_base("https://api.example") == (True, "api.example", 443, "api.example")
    assert split_base("http://[::1]:8080") == (False, "::1", 8080, "[::1]:8080")

"""WebSocket links over loopback sockets."""

import base64
import hashlib
import random
import resource
import socket
import struct
import threading

import pytest

from nanotick.venues.host import TIMER_EARLY_NS
from nanotick.venues.sockets import Sockets
from tests.venues.live import Kept, PlainSite, RawServer, until

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(params=["waiting", "spinning"])
def host(request):
    with Sockets(spin=request.param == "spinning") as host:
        yield host
    assert host.errors == 0


@pytest.fixture
def waiting():
    with Sockets() as host:
        yield host


def connected(host, site, path="/ws", headers=()):
    port = host.serve(site)
    user = Kept()
    host.connect(f"ws://127.0.0.1:{port}{path}", user, headers)
    until(host, lambda: user.link or user.ends)
    return user


def frame(payload, opcode=1, fin=True, mask=b"\1\2\3\4"):
    head = bytes([opcode | (0x80 if fin else 0)])
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head += bytes([size | bit])
    elif size < 1 << 16:
        head += bytes([126 | bit]) + struct.pack(">H", size)
    else:
        head += bytes([127 | bit]) + struct.pack(">Q", size)
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def handshake(port, path="/ws", tail=b""):
    """A raw client that has been let in."""
    peer = socket.create_connection(("127.0.0.1", port), 5)
    peer.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        + tail
    )
    return peer


def accept(peer):
    """The server's side of a handshake, by hand."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = peer.recv(4096)
        if not piece:
            return False
        head += piece
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    proof = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")  # fmt: skip
    return True


def test_messages_of_every_size_come_back_whole_and_in_order(host):
    site = PlainSite()
    user = connected(host, site, "/ws?streams=a/b", (("X-Key", "abc"),))
    assert site.users[0].path == "/ws?streams=a/b" and ("X-Key", "abc") in site.users[0].headers
    random.seed(1)
    sent = [random.randbytes(size) for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 3)]
    before = host.now()
    for data in sent:
        user.link.send(data, binary=True)
    until(host, lambda: len(user.messages) == len(sent))
    assert user.messages == sent
    assert user.stamps == sorted(user.stamps) and before <= user.stamps[0] <= user.stamps[-1] <= host.now()


def test_closing_tells_both_ends_once_with_the_reason(host):
    site = PlainSite()
    user = connected(host, site)
    user.link.close(4001, "enough")
    user.link.close()
    user.link.send(b"nothing")
    until(host, lambda: user.ends and site.users[0].ends)
    assert user.reason == "enough" and user.ends[0][0] is user.link
    assert site.users[0].reason == "the other end closed with 4001 enough"
    user.link.send(b"nothing")
    assert site.users[0].messages == []


def test_a_server_closes_as_well(host):
    site = PlainSite()
    user = connected(host, site)
    site.users[0].link.close(1008, "slow")
    until(host, lambda: user.ends and site.users[0].ends)
    assert user.reason == "the other end closed with 1008 slow"


def test_an_upgrade_can_be_refused_and_the_answer_is_the_reason(host):
    user = connected(host, PlainSite(), "/refused")
    assert user.ends[0][0] is None and "401" in user.reason


def test_a_site_that_fails_refuses_and_goes_on(waiting, capsys):
    site = PlainSite()
    user = connected(waiting, site, "/broken")
    assert "500" in user.reason and waiting.errors == 1 and "the site has a bug" in capsys.readouterr().err
    assert connected(waiting, site).link is not None


def test_a_port_where_nobody_listens(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    user = Kept()
    host.connect(f"ws://127.0.0.1:{port}/", user)
    until(host, lambda: user.ends)
    assert user.ends[0][0] is None and "111" in user.reason


def test_an_address_that_is_none(host):
    for url in ("http://127.0.0.1/", "ws://", "nonsense", "ws://no such host/"):
        user = Kept()
        host.connect(url, user)
        until(host, lambda user=user: user.ends)
        assert user.ends[0][0] is None and user.reason


def test_fragments_become_one_message_with_pings_between(host):
    site = PlainSite()
    port = host.serve(site)
    peer = handshake(port)
    peer.sendall(frame(b"one ", fin=False) + frame(b"are you there", 9) + frame(b"two ", 0, False) + frame(b"three", 0))
    until(host, lambda: site.users and site.users[0].messages)
    assert site.users[0].messages == [b"one two three"]
    peer.settimeout(0.01)
    got = b""
    for _ in range(300):
        host.run(0.003)
        try:
            got += peer.recv(4096)
        except TimeoutError:
            pass
        if got.endswith(frame(b"one two three", mask=b"")):
            break
    assert frame(b"are you there", 10, mask=b"") in got and got.endswith(frame(b"one two three", mask=b""))
    peer.close()


def test_a_message_right_behind_the_handshake_is_not_lost(host):
    site = PlainSite()
    port = host.serve(site)
    with handshake(port, tail=frame(b"early") + frame(b"bird")):
        until(host, lambda: site.users and len(site.users[0].messages) == 2)
    assert site.users[0].messages == [b"early", b"bird"]


@pytest.mark.parametrize(
    "junk",
    [
        frame(b"x", mask=b""),  # a client must mask
        frame(b"x", 3),  # no such kind
        frame(b"x", 0),  # continues nothing
        frame(b"a", fin=False) + frame(b"b"),  # begins anew within a message
        bytes([0xC1, 0x81]) + b"\1\2\3\4x",  # compressed, which nobody agreed to
        bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 62) + b"\1\2\3\4",  # larger than anything
        frame(b"p" * 126, 9),  # a ping that long
        b"\xff" * 4000,
    ],
)
def test_what_is_no_websocket_ends_that_link_alone(host, junk):
    site = PlainSite()
    user = connected(host, site)
    port = host.serve(site)
    with handshake(port, tail=junk):
        until(host, lambda: len(site.users) == 2 and site.users[1].ends)
    assert len(site.users[1].ends) == 1 and not user.ends
    user.link.send(b"still here")
    until(host, lambda: user.messages == [b"still here"])


def test_fragments_without_end_are_bounded():
    with Sockets(max_message=1 << 16) as host:
        site = PlainSite()
        port = host.serve(site)
        with handshake(port, tail=frame(b"y" * 1000, fin=False)) as peer:
            peer.settimeout(0.01)
            for _ in range(400):
                try:
                    peer.sendall(frame(b"y" * 1000, 0, False))
                except OSError:
                    break
                host.run(0.0005)
                if site.users and site.users[0].ends:
                    break
            until(host, lambda: site.users[0].ends)
        assert "more than 65,536 bytes" in site.users[0].reason and site.users[0].messages == []


def test_a_handshake_with_garbage_or_without_end_is_refused_and_leaves_no_memory(waiting):
    site = PlainSite()
    port = waiting.serve(site)
    random.seed(2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(40):
        junk = random.randbytes(2000) if n % 2 else b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000
        with socket.create_connection(("127.0.0.1", port), 5) as peer:
            peer.setblocking(False)
            try:
                peer.send(junk)
            except OSError:
                pass
            waiting.run(0.005)
    until(waiting, lambda: not waiting._open)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert connected(waiting, site).link is not None


def test_a_bad_handshake_tells_the_user_that_nothing_was_opened(waiting):
    site = PlainSite()
    port = waiting.serve(site)
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        peer.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        until(waiting, lambda: site.users and site.users[0].ends)
    assert site.users[0].ends == [(None, "the handshake was refused")] and not waiting._open


def test_a_client_meets_garbage_instead_of_a_venue(host):
    random.seed(3)
    for answer in (b"\0" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", random.randbytes(5000), b""):
        with RawServer(lambda peer, answer=answer: (peer.recv(4096), peer.sendall(answer))) as server:
            user = Kept()
            host.connect(f"ws://127.0.0.1:{server.port}/", user)
            until(host, lambda user=user: user.ends)
            assert user.ends[0][0] is None and user.reason


def test_a_client_meets_garbage_after_the_handshake(host):
    def handle(peer):
        if accept(peer):
            peer.sendall(frame(b"good", mask=b"") + b"\xff\xff\xff" * 1000)
            peer.recv(4096)

    with RawServer(handle) as server:
        user = Kept()
        host.connect(f"ws://127.0.0.1:{server.port}/", user)
        until(host, lambda: user.ends)
    assert user.link is not None and len(user.ends) == 1


def test_a_connection_cut_without_a_word(host):
    def handle(peer):
        accept(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with RawServer(handle) as server:
        user = Kept()
        host.connect(f"ws://127.0.0.1:{server.port}/", user)
        until(host, lambda: user.ends)
    assert user.reason == "connection lost"


def test_a_venue_that_never_answers_the_handshake_is_given_up(monkeypatch):
    monkeypatch.setattr("nanotick.venues.sockets.CONNECT_S", 0.2)
    with Sockets() as host, RawServer(lambda peer: peer.recv(1 << 20) and peer.recv(1)) as server:
        user = Kept()
        host.connect(f"ws://127.0.0.1:{server.port}/", user)
        until(host, lambda: user.ends)
        assert user.ends[0][0] is None and user.reason


def test_silence_is_pinged_and_then_cut():
    pings = []

    def handle(peer):
        accept(peer)
        pings.append(peer.recv(100))
        peer.recv(1 << 16)

    with Sockets(ping_s=0.1) as host, RawServer(handle) as server:
        user = Kept()
        host.connect(f"ws://127.0.0.1:{server.port}/", user)
        until(host, lambda: user.ends)
        assert "no answer to a ping" in user.reason and pings[0][0] == 0x89


def test_a_quiet_link_that_answers_pings_lives():
    with Sockets(ping_s=0.05) as host:
        user = connected(host, PlainSite())
        host.run(0.6)
        assert not user.ends


def test_a_slow_reader_is_seen_and_then_cut_off_without_harm_to_others():
    with Sockets(max_waiting=4 << 20) as host:
        site = PlainSite()
        port = host.serve(site)
        other = Kept()
        with handshake(port):
            until(host, lambda: site.users and site.users[0].link)
            host.connect(f"ws://127.0.0.1:{port}/", other)
            until(host, lambda: other.link)
            slow = site.users[0].link
            data, seen = b"z" * 100_000, 0
            for _ in range(400):
                slow.send(data)
                seen = max(seen, slow.waiting)
                if site.users[0].ends:
                    break
                host.run(0.0005)
            until(host, lambda: site.users[0].ends)
        assert "does not read" in site.users[0].reason and 1 << 20 < seen < 5 << 20
        other.link.send(b"fine")
        until(host, lambda: other.messages == [b"fine"])


def test_a_reader_that_falls_behind_gets_every_message_in_its_order(host):
    site = PlainSite(echo=False)
    port = host.serve(site)
    with handshake(port) as peer:
        until(host, lambda: site.users and site.users[0].link)
        count = 2000
        for number in range(count):
            site.users[0].link.send(struct.pack(">I", number) * (16_384 if number % 50 == 0 else 250), binary=True)
        assert site.users[0].link.waiting > 0
        reader = threading.Thread(target=_read_frames, args=(peer, count, got := []))
        reader.start()
        until(host, lambda: not reader.is_alive())
    wrong = [n for n, data in enumerate(got) if data != struct.pack(">I", n) * (16_384 if n % 50 == 0 else 250)]
    assert len(got) == count and not wrong


def _read_frames(peer, count, got):
    with peer.makefile("rb") as stream:
        while stream.readline() != b"\r\n":
            pass
        for _ in range(count):
            size = stream.read(2)[1]
            if size == 126:
                size = struct.unpack(">H", stream.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", stream.read(8))[0]
            got.append(stream.read(size))


def test_an_error_in_a_callback_ends_that_link_alone(waiting, capsys):
    class Faulty(Kept):
        def message(self, link, data, now):
            raise KeyError("a bug in a feed")

    site = PlainSite()
    port = waiting.serve(site)
    faulty, sound = Faulty(), Kept()
    for user in (faulty, sound):
        waiting.connect(f"ws://127.0.0.1:{port}/", user)
    until(waiting, lambda: faulty.link and sound.link)
    faulty.link.send(b"x")
    until(waiting, lambda: faulty.ends)
    assert waiting.errors == 1 and "a bug in a feed" in capsys.readouterr().err and "KeyError" in faulty.reason
    sound.link.send(b"y")
    until(waiting, lambda: sound.messages == [b"y"])


def test_timers_come_in_order_and_not_when_cancelled(host):
    calls, early = [], []

    def called(number, when):
        calls.append(number)
        early.append(when - host.now())

    while (
        True
    ):  # until all are set before the first is due: a machine that paused meanwhile says nothing of their order
        now, timers = host.now(), {}
        for number, when in ((3, now + 30_000_000), (1, now + 10_000_000), (2, now + 20_000_000), (0, 0)):
            timers[number] = host.at(when, lambda number=number, when=when: called(number, when))
        timers[2].cancel()
        if host.now() < now + 10_000_000:
            break
        for timer in timers.values():
            timer.cancel()
    until(host, lambda: len(calls) == 3)
    # one whose time has passed comes at the next opportunity, which may be after the first is due
    assert [number for number in calls if number] == [1, 3] and calls.count(0) == 1
    # not to the nanosecond: uvloop counts milliseconds, and how it rounds them is not ours
    assert max(early) <= TIMER_EARLY_NS
    assert 0 <= host.uniform() < 1


def test_closing_a_host_tells_every_user():
    host = Sockets()
    site = PlainSite()
    user = connected(host, site)
    host.close()
    host.close()
    assert len(user.ends) == len(site.users[0].ends) == 1

"""The virtual network keeps TCP's promises, breaks what it is told to break, and repeats itself."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from nanotick.venues.faulty import Faults, Mischief
from nanotick.venues.virtual import MS, SECOND, START, VirtualNetwork
from nanotick.venues.virtual_link import TO_CLIENT, TO_SITE
from nanotick.wire.requests import Request, Response

URL, BASE = "wss://venue.example:443/stream?a=1", "https://venue.example:443"


class Echo:
    """A site that answers every message with itself, and counts requests."""

    def __init__(self):
        self.heard, self.requests, self.links, self.ended = [], 0, [], []

    def request(self, request, peer, answer):
        self.requests += 1
        answer(Response(200, (), request.body))

    def upgrade(self, path, headers, peer):
        if path == "/closed":
            return Response(404)
        self.path, self.headers, self.peer = path, headers, peer
        return self

    def opened(self, link):
        self.links.append(link)

    def message(self, link, data, now):
        self.heard.append(bytes(data))
        link.send(data)

    def closed(self, link, reason):
        self.ended.append(reason)


class Client:
    def __init__(self, network):
        self.network, self.link = network, None
        self.heard, self.ended = [], []

    def opened(self, link):
        self.link = link

    def message(self, link, data, now):
        self.heard.append((self.network.time, bytes(data)))
        self.kept = data

    def closed(self, link, reason):
        self.ended.append((self.network.time, link, reason))


def joined(seed=1, faults=None, url=URL):
    network = VirtualNetwork(seed, faults=faults)
    there, us, site = network.host("venue"), network.host("us"), Echo()
    network.serve("venue.example:443", site, there)
    client = Client(network)
    us.connect(url, client, (("A", "b"),))
    network.run(START + SECOND)
    return network, us, site, client


def numbered(n):
    return [b"%d" % i for i in range(n)]


def test_messages_arrive_whole_in_order_and_later_and_views_do_not_outlive_the_callback():
    network, _us, site, client = joined()
    assert (site.path, site.headers, site.peer) == ("/stream?a=1", (("A", "b"),), "us")
    for data in numbered(200):
        client.link.send(data)
    assert client.heard == []
    network.run(network.time + SECOND)
    assert [data for _, data in client.heard] == numbered(200) == site.heard
    assert client.heard[0][0] >= START + SECOND + 4 * MS
    assert bytes(client.kept) == b"\xff" * len(client.kept)


def test_a_clogged_path_holds_everything_and_gives_it_in_order():
    network, _us, site, client = joined()
    path = network.path("us", "venue.example:443")
    path.clog(TO_SITE)
    for data in numbered(50):
        client.link.send(data)
    assert client.link.waiting == sum(map(len, numbered(50)))
    network.run(network.time + 60 * SECOND)
    assert site.heard == []
    path.unclog(TO_SITE)
    network.run(network.time + SECOND)
    assert [data for _, data in client.heard] == numbered(50) and client.link.waiting == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_loses_a_tail_and_both_ends_learn_of_it(seed):
    network, _us, site, client = joined(seed)
    for data in numbered(30):
        client.link.send(data)
    network.run(network.time + random.Random(seed).randrange(6 * MS))
    client.link.cut()
    client.link.send(b"30")
    network.run(network.time + 5 * SECOND)
    heard = [data for _, data in client.heard]
    assert site.heard == numbered(31)[: len(site.heard)]
    assert heard == numbered(31)[: len(heard)] and len(heard) <= len(site.heard)
    assert len(client.ended) == len(site.ended) == 1 and client.ended[0][2] == "connection lost"
    client.link.send(b"nothing happens")
    network.run(network.time + SECOND)


def test_closing_tells_both_ends_once_after_what_was_sent_before():
    network, _us, site, client = joined()
    client.link.send(b"last")
    client.link.close(1000, "bye")
    client.link.send(b"never")
    network.run(network.time + 10 * SECOND)
    assert site.heard == [b"last"] and site.ended == ["closed 1000 bye"]
    assert [reason for _, _, reason in client.ended] == ["closed 1000 bye"]


def test_what_cannot_be_opened_is_closed_without_a_link():
    network, us, _site, client = joined(url="wss://venue.example:443/closed")
    assert client.ended[0][1:] == (None, "HTTP status 404")
    nowhere = Client(network)
    us.connect("wss://nowhere.example/", nowhere)
    network.servers["venue.example:443"].crash()
    down = Client(network)
    us.connect(URL, down)
    network.run(network.time + SECOND)
    assert nowhere.ended[0][2] == down.ended[0][2] == "connection refused"


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        ("request_lost", 0, 0),
        ("answer_lost", 0, 1),
        ("error_done", 502, 1),
        ("error_undone", 503, 0),
        ("limited", 429, 0),
    ],
)
def test_each_fault_of_a_request_does_what_it_says(fault, status, done):
    network, us, site, _client = joined(faults=Faults(**{fault: 1.0}))
    found = []
    for _ in range(20):
        us.ask(BASE, Request("GET", "/x"), lambda r: found.append((network.time, r.status)), 2 * SECOND)
    began = network.time
    network.run(network.time + 3 * SECOND)
    assert [code for _, code in found] == [status] * 20 and site.requests == 20 * done
    assert all(when <= began + 2 * SECOND for when, _ in found)


def test_an_answer_after_the_timeout_is_not_given():
    network, us, site, _client = joined()
    path = network.path("us", "venue.example:443")
    found = []
    path.clog(TO_CLIENT)
    us.ask(BASE, Request("GET", "/x"), found.append, SECOND)
    network.run(network.time + 2 * SECOND)
    path.unclog(TO_CLIENT)
    network.run(network.time + 2 * SECOND)
    assert [r.status for r in found] == [0] and site.requests == 1


def test_a_crashed_process_is_never_called_again_and_the_other_end_is_reset():
    network, us, site, client = joined()
    called = []
    us.at(us.now() + SECOND, lambda: called.append(1))
    us.ask(BASE, Request("GET", "/x"), called.append)
    client.link.send(b"on its way")
    us.crash()
    network.run(network.time + 5 * SECOND)
    assert called == [] and client.heard == [] and client.ended == []
    assert site.heard == [b"on its way"] and site.ended == ["reset"]


@pytest.mark.parametrize("step", [SECOND, -SECOND, 3600 * SECOND, -3600 * SECOND])
def test_a_stepped_clock_never_goes_back_and_timers_keep_their_durations(step):
    network, us, _site, _client = joined()
    fired = []
    us.at(us.now() + 10 * SECOND, lambda: fired.append(network.time))
    began, before = network.time, us.now()
    us.step_clock(step)
    stamps = [us.now()]
    for _ in range(20):
        network.run(network.time + SECOND)
        stamps.append(us.now())
    assert fired == [began + 10 * SECOND]
    assert stamps[0] == before + max(0, step) and all(a < b for a, b in itertools.pairwise(stamps))
    assert stamps[-1] - stamps[0] >= 0.999 * 20 * SECOND


def chatter(seed, faults):
    network, us, site, client = joined(seed, faults)
    mischief = Mischief(network, lambda: us)

    def talk():
        if client.link is None or client.ended:
            client.ended.clear()
            us.connect(URL, client)
        else:
            client.link.send(b"hello")
        us.ask(BASE, Request("GET", "/x"), lambda r: None)
        us.at(us.now() + SECOND // 10 + int(us.uniform() * SECOND), talk)

    talk()
    network.run(START + 600 * SECOND)
    return network, site, mischief


def test_a_seed_repeats_the_run_and_another_does_not():
    source = random.Random(5)
    faults = [Faults.draw(source) for _ in range(10)]
    digests = [chatter(7, f)[0].digest for f in faults]
    assert digests == [chatter(7, f)[0].digest for f in faults]
    assert all(chatter(8, f)[0].digest != d for f, d in zip(faults, digests, strict=True))
    assert len(set(digests)) == len(digests)


def test_every_kind_of_mischief_happens_and_is_over_when_it_is_healed():
    faults = Faults(cuts=60, half_open=60, clogs=60, swizzles=60, venue_crashes=60, clock_steps=60)
    network, site, mischief = chatter(3, faults)
    assert set(mischief.done) == {"cuts", "half_open", "clogs", "swizzles", "venue_crashes", "clock_steps"}
    mischief.stop()
    network.heal()
    before = site.requests
    network.run(network.time + 60 * SECOND)
    assert site.requests >= before + 60 and not any(c for p in network.paths.values() for c in p.clogged)


def test_swarms_differ_and_leave_kinds_out():
    drawn = [Faults.draw(random.Random(seed)) for seed in range(100)]
    assert len({faults.shown() for faults in drawn}) == 100
    for name in ("cuts", "request_lost", "crashes", "duplicate"):
        assert 25 < sum(getattr(faults, name) > 0 for faults in drawn) < 75


def test_twenty_thousand_events_a_second_at_least():
    """A floor far below what is measured, so that a slow machine does not fail it."""
    network = VirtualNetwork()
    host = network.host("us")
    count = 0

    def again():
        nonlocal count
        count += 1
        host.at(host.now() + MS, again)

    again()
    began = time.process_time()
    network.run(START + 20 * SECOND)
    assert count > 20_000 and time.process_time() - began < 10


def test_repeated_and_reordered_messages_are_the_venues_alone():
    network, _us, site, client = joined(2, Faults(duplicate=0.3, reorder=0.3))
    for data in numbered(300):
        client.link.send(data)
    network.run(network.time + 60 * SECOND)
    heard = [data for _, data in client.heard]
    assert site.heard == numbered(300)
    assert sorted(set(heard)) == sorted(numbered(300)) and len(heard) > 330
    assert list(dict.fromkeys(heard)) != numbered(300)

"""Faults on demand: each does what it says, where it says, as often as it says, and the same again."""

from __future__ import annotations

import json

import pytest

from nanotick.venues.faults import KINDS, FaultError, FaultySite, faults_from, read_faults
from nanotick.wire.requests import Request, Response
from tests.venues.hosts import ScriptedHost


class Echo:
    """A venue that says what it is told to and remembers what it was asked."""

    def __init__(self):
        self.asked, self.links, self.heard, self.ends = [], [], [], []

    def request(self, request, peer, answer):
        self.asked.append(request.path)
        answer(Response(200, (), b"good"))

    def upgrade(self, path, headers, peer):
        return self

    def opened(self, link):
        self.links.append(link)

    def message(self, link, data, now):
        self.heard.append(bytes(data))

    def closed(self, link, reason):
        self.ends.append((link, reason))


class Wire:
    def __init__(self):
        self.sent, self.closed_with, self.waiting = [], None, 0

    def send(self, data, binary=False):
        self.sent.append(bytes(data))

    def close(self, code=1000, reason=""):
        self.closed_with = code, reason


class Trial:
    def __init__(self, *faults, seed=1):
        self.host, self.venue = ScriptedHost(), Echo()
        self.site = FaultySite(self.host, self.venue, faults_from({"faults": list(faults), "seed": seed}))

    def open(self, path="/ws"):
        user = self.site.upgrade(path, (), "test")
        wire = Wire()
        user.opened(wire)
        return user, wire, self.venue.links[-1]

    def stream(self, count=20, path="/ws"):
        _, wire, link = self.open(path)
        for n in range(count):
            link.send(b"message %d" % n)
        return wire, [int(data.split()[1]) for data in wire.sent]

    def ask(self, method="GET", path="/x", body=b""):
        found = []
        self.site.request(Request(method, path, (), body), "test", found.append)
        return found


def test_drop_loses_a_share_of_the_messages_and_the_same_ones_again():
    _, first = Trial({"kind": "drop", "rate": 0.3}).stream(1000)
    _, again = Trial({"kind": "drop", "rate": 0.3}).stream(1000)
    _, other = Trial({"kind": "drop", "rate": 0.3}, seed=2).stream(1000)
    assert first == again != other
    assert 640 < len(first) < 760 and first == sorted(first)


def test_duplicate_sends_twice():
    _, got = Trial({"kind": "duplicate", "match": "message 3"}).stream(5)
    assert got == [0, 1, 2, 3, 3, 4]


def test_reorder_swaps_neighbours():
    _, got = Trial({"kind": "reorder", "count": 1, "after": 2}).stream(6)
    assert got == [0, 1, 3, 2, 4, 5]


def test_delay_lets_later_messages_overtake_and_everything_arrives():
    trial = Trial({"kind": "delay", "rate": 0.5, "ms": [10, 50]})
    wire, now = trial.stream(40)
    assert 0 < len(now) < 40
    trial.host.run(0.009)
    assert len(wire.sent) == len(now)
    trial.host.run(0.05)
    numbers = [int(data.split()[1]) for data in wire.sent]
    assert sorted(numbers) == list(range(40)) and numbers != sorted(numbers)


def test_corrupt_changes_one_digit_of_what_it_matches():
    trial = Trial({"kind": "corrupt", "match": "checksum"})
    _, wire, link = trial.open()
    for n in range(50):
        link.send(json.dumps({"checksum": 1000 + n, "price": "20.5"}).encode())
        link.send(b'{"price":"20.5"}')
    for n in range(50):
        bad, good = wire.sent[2 * n], wire.sent[2 * n + 1]
        right = json.dumps({"checksum": 1000 + n, "price": "20.5"}).encode()
        assert json.loads(bad) and sum(a != b for a, b in zip(bad, right, strict=True)) == 1
        assert good == b'{"price":"20.5"}'


def test_gap_is_silence_for_a_while_on_its_path():
    trial = Trial({"kind": "gap", "path": "/stocks", "at_s": 5, "for_s": 2})
    _, there, link = trial.open("/stocks")
    _, elsewhere, other = trial.open("/stream")
    for n in range(10):
        link.send(b"%d" % n)
        other.send(b"%d" % n)
        trial.host.run(1)
    assert [int(data) for data in there.sent] == [0, 1, 2, 3, 4, 7, 8, 9]
    assert len(elsewhere.sent) == 10


def test_disconnect_takes_the_message_with_it_and_nothing_follows():
    trial = Trial({"kind": "disconnect", "match": "message 3", "count": 1})
    wire, got = trial.stream(6)
    assert got == [0, 1, 2] and wire.closed_with == (1006, "connection lost")
    assert trial.stream(6)[1] == list(range(6))
    assert trial.site.done == {"disconnect": 1}


def test_what_is_late_is_not_sent_on_a_link_that_is_gone():
    trial = Trial({"kind": "delay", "ms": [10, 10]})
    user, wire, link = trial.open()
    link.send(b"late")
    user.closed(wire, "gone")
    trial.host.run(1)
    assert wire.sent == [] and trial.venue.ends == [(link, "gone")] and trial.site.links == []


def test_limited_and_banned_say_when_to_come_back():
    trial = Trial(
        {"kind": "limited", "method": "POST", "path": "/v2/orders", "after": 2, "count": 3, "retry_after_s": 7},
        {"kind": "banned", "at_s": 60, "for_s": 120, "retry_after_s": 120},
    )
    got = [trial.ask("POST", "/v2/orders")[0] for _ in range(7)]
    assert [answer.status for answer in got] == [200, 200, 429, 429, 429, 200, 200]
    assert dict(got[2].headers)["Retry-After"] == "7"
    assert trial.ask("GET", "/v2/orders")[0].status == 200 and len(trial.venue.asked) == 5
    trial.host.run(61)
    assert trial.ask()[0].status == 418 and dict(trial.ask()[0].headers)["Retry-After"] == "120"
    trial.host.run(120)
    assert trial.ask()[0].status == 200


@pytest.mark.parametrize("placed", [True, False])
def test_an_error_may_hide_that_the_order_was_placed(placed):
    trial = Trial({"kind": "error", "status": 504, "placed": placed, "count": 1})
    assert [a.status for a in trial.ask("POST", "/order")] == [504]
    assert trial.venue.asked == (["/order"] if placed else [])
    assert trial.ask("POST", "/order")[0].status == 200


def test_silence_answers_nothing():
    trial = Trial({"kind": "silent", "match": "secret-order", "placed": True})
    assert trial.ask("POST", "/order", b'{"id":"secret-order"}') == []
    assert trial.venue.asked == ["/order"] and len(trial.ask("POST", "/order", b"{}")) == 1


def test_slow_answers_come_later():
    trial = Trial({"kind": "slow", "ms": [100, 200]})
    found = trial.ask()
    assert found == []
    trial.host.run(0.099)
    assert found == []
    trial.host.run(0.2)
    assert [a.status for a in found] == [200]


def test_maintenance_cuts_links_refuses_everything_and_ends():
    trial = Trial({"kind": "maintenance", "at_s": 10, "for_s": 5})
    _, wire, _ = trial.open()
    assert trial.ask()[0].status == 200
    trial.host.run(11)
    assert wire.closed_with == (1012, "maintenance")
    assert trial.ask()[0].status == 503 and trial.site.upgrade("/ws", (), "test").status == 503
    trial.host.run(5)
    assert trial.ask()[0].status == 200
    trial.open()


def test_what_the_client_says_arrives_untouched():
    trial = Trial({"kind": "drop"}, {"kind": "corrupt"})
    user, wire, _ = trial.open()
    user.message(wire, b"hello 1", 0)
    assert trial.venue.heard == [b"hello 1"]


def test_every_kind_is_tested_here():
    source = open(__file__, encoding="utf-8").read()
    assert all(f'"kind": "{kind}"' in source for kind in KINDS)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "drp"}, "faults[0]: unknown kind 'drp'; did you mean 'drop'?"),
        ({"kind": "drop", "rte": 0.5}, "unknown key 'rte'; did you mean 'rate'?"),
        ({"kind": "drop", "rate": 2}, "rate: expected 0 to 1, found 2.0"),
        ({"kind": "delay", "ms": [5, 1]}, "ms: expected least and greatest"),
        ({"kind": "drop", "after": -1}, "expected no negative number"),
        ({"kind": "error", "status": 404}, "status: expected 500 to 599"),
        ({"kind": "drop", "rate": "often"}, "Expected `float`, got `str`"),
        ({}, "missing required field `kind`"),
    ],
)
def test_a_wrong_fault_is_refused_by_its_place(fault, words):
    with pytest.raises(FaultError) as caught:
        faults_from({"faults": [fault]})
    assert words in str(caught.value)


def test_a_file_is_read_with_its_seed_or_ours(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {kind: drop, rate: 0.1}\n")
    assert read_faults(path, 9).seed == 9
    path.write_text("seed: 3\nfaults: []\n")
    assert read_faults(path, 9).seed == 3
    path.write_text("faults: [")
    with pytest.raises(FaultError, match="not YAML"):
        read_faults(path)
    with pytest.raises(FaultError, match="cannot be read"):
        read_faults(tmp_path / "none.yaml")


def test_the_documented_file_is_valid():
    import nanotick.venues.faults as module

    text = (module.__doc__ or "").split("\n\n")[1]
    import yaml

    assert {fault.kind for fault in faults_from(yaml.safe_load(text)).faults} == KINDS - {"slow"}

"""Our live side at the served Binance over real sockets: trades, reconnections, faults, both kinds of keys."""

from __future__ import annotations

import msgspec
import pytest

from nanotick.core.records import Kind
from nanotick.venues.faults import FaultFile, FaultySite
from nanotick.venues.feed import State
from nanotick.venues.sockets import Sockets
from nanotick.venues.working import TraderState
from tests.venues.coins import Coins, served
from tests.venues.live import until

FAULTS = """
seed: 3
faults:
  - {kind: disconnect, path: /ws-api, match: '"x":"TRADE"', after: 3, count: 2}
  - {kind: drop, path: /stream, match: depthUpdate, rate: 0.03}
  - {kind: duplicate, path: /ws-api, match: executionReport, rate: 0.2}
  - {kind: error, method: GET, path: /api/v3/depth, rate: 0.3}
  - {kind: delay, path: /stream, match: bookTicker, rate: 0.05, ms: [1, 50]}
"""


class Live:
    """Both sides on one loop."""

    def __init__(self, host, faults="", secret="secret", shown="secret", **settings):
        self.host = host
        self.site = served(host, shown)
        self.faulty = FaultySite(host, self.site, msgspec.yaml.decode(faults, type=FaultFile)) if faults else None
        port = host.serve(self.faulty or self.site)
        host.at(0, self.site.start)
        self.coins = Coins(
            host, self.site, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", secret=secret,
            strategy={"share": 0.3}, **settings,
        )  # fmt: skip
        self.coins.runner.start()
        until(host, lambda: self.ready)

    @property
    def ready(self):
        return self.coins.trader.state == TraderState.READY and self.coins.feed.state == State.LIVE

    def trade(self, fills):
        """Until there are so many more fills."""
        wanted = len(self.coins.fills()) + fills
        until(self.host, lambda: len(self.coins.fills()) >= wanted)

    def settle(self):
        coins = self.coins
        coins.be_quiet()
        until(self.host, lambda: not coins.unsettled())
        self.site.desk.stop()
        until(self.host, lambda: not coins.unsettled() and not coins.books_differ())
        assert len(coins.fills()) == len(coins.site.desk.fills(coins.account))
        assert coins.trader.counts.malformed == 0


@pytest.fixture
def host():
    with Sockets() as host:
        yield host
    assert host.errors == 0


def test_it_trades_and_outlives_maintenance_and_lost_connections(host):
    began = host.now()
    live = Live(host)
    live.trade(5)
    live.site.shut_down(notice_s=5)
    until(host, lambda: live.coins.feed.attempts == 2 and live.coins.trader.stream.attempts == 2)
    live.trade(5)
    host.run(5)
    assert live.coins.feed.status()["gaps"] == 0 and live.coins.trader.counts.unknown == 0
    for talk in tuple(live.site.talks):
        talk.cut()
    until(host, lambda: live.coins.feed.gaps >= 2)
    until(host, lambda: live.ready)
    live.trade(5)
    live.settle()
    # Every book was fetched at the start and after the cut. How long that took is the machine's affair: that a sync
    # waits no longer than it has to is held in virtual time (test_binance_feed.py: stale snapshots, recorded chain).
    seen = live.coins.feed.status()
    assert seen["syncing"] == 0 and seen["snapshots"] >= 2 * len(live.coins.table)
    assert 0 < seen["longest_sync_ns"] < host.now() - began


def test_faults_on_demand_are_settled(host):
    live = Live(host, FAULTS)
    live.trade(30)
    until(host, lambda: live.faulty.done.get("disconnect", 0) >= 1 and live.faulty.done.get("drop", 0) >= 1)
    live.faulty.stream.clear()
    until(host, lambda: live.ready)
    live.settle()
    assert live.faulty.done["duplicate"] and live.coins.feed.status()["gaps"] > 0
    kinds = {row[9] for row in live.coins.runner.reports}
    assert {int(Kind.FILL), int(Kind.ACCEPTED), int(Kind.CANCELLED), int(Kind.REPLACED)} <= kinds


def test_an_ed25519_key_logs_on_and_trades(host):
    pytest.importorskip("cryptography", reason="Ed25519 keys need cryptography: pip install 'nanotick[live]'")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo).decode()
    live = Live(host, secret=private, shown=public)
    live.trade(3)
    live.settle()
    assert live.coins.trader.status()["logged_on"]

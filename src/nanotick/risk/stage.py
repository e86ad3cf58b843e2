"""The risk stage of a run, laid out in an arena."""

from __future__ import annotations

from collections.abc import Sequence

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.tape import TAPE
from nanotick.orders import OrderTable
from nanotick.portfolio import Portfolio
from nanotick.risk.dynamic import DynamicLimits
from nanotick.risk.limits import RiskLimits, set_limit
from nanotick.risk.records import GUARD, LIMITS, PAIR, RECENT, RISK, UNLIMITED, Limit
from nanotick.risk.watch_stage import lay_watch

_MIN_RING = 1_024


class RiskStage:
    """Limits and guards of all strategies and of the account.

    Parameters
    ----------
    arena : Arena
    strategies : int
        Number of strategies, 1 or more.
    instruments : InstrumentTable
        Bound into the arena as region `instruments` if it is not yet.
    limits : RiskLimits
        Of the whole account.
    strategy_limits : sequence of RiskLimits, optional
        Of each strategy; the account's by default.
    recent_orders : int
        Orders remembered for the duplicate check: if more pass within the window, further ones are refused.
    max_rate : int
        Largest rate that can be set later, messages a second; the rates given are always possible.
    name : str
        Prefix of the regions.

    Attributes
    ----------
    address : int
        Of the root record, for kernels. Strategies never get it.
    limits, guards, pairs, tape : Region
        LIMITS, GUARD, PAIR and TAPE records.

    Raises
    ------
    ValueError
        A limit is missing or cannot be kept; the message names it.
    """

    def __init__(
        self,
        arena: Arena,
        strategies: int,
        instruments: InstrumentTable,
        limits: RiskLimits,
        strategy_limits: Sequence[RiskLimits] | None = None,
        recent_orders: int = 4_096,
        max_rate: int = _MIN_RING - 1,
        name: str = "risk",
    ) -> None:
        own = list(strategy_limits) if strategy_limits is not None else [limits] * strategies
        if strategies < 1 or len(own) != strategies:
            raise ValueError(f"risk: expected the limits of each of {strategies} strategies, found {len(own)}")
        rows = [_named(f"strategy {n}", item) for n, item in enumerate(own)] + [_named("account", limits)]
        rates = [row[i] for row in rows for i in (Limit.ORDERS_PER_SECOND, Limit.MESSAGES_PER_SECOND)]
        largest = max([rate for rate in rates if rate != UNLIMITED] + [max_rate])
        ring = 1 << max(largest + 1, _MIN_RING).bit_length() if largest + 1 > _MIN_RING else _MIN_RING
        recent = 1 << max(15, recent_orders - 1).bit_length()
        count = strategies + 1
        pairs = max(1, len(instruments))
        root_region = arena.region(f"{name}.root", RISK, 1)
        self._root = root_region.view[0]
        self.address = root_region.address
        self.limits = arena.region(f"{name}.limits", LIMITS, 2 * count)
        self.guards = arena.region(f"{name}.guards", GUARD, count)
        self.pairs = arena.region(f"{name}.pairs", PAIR, count * pairs)
        self.tape = arena.region(f"{name}.tape", TAPE, pairs)
        groups = arena.region(f"{name}.groups", "<i4", pairs)
        bound = arena["instruments"] if "instruments" in arena else instruments.bind(arena)
        addresses = {
            "instruments_address": bound.address,
            "limits_address": self.limits.address,
            "guards_address": self.guards.address,
            "pairs_address": self.pairs.address,
            "tape_address": self.tape.address,
            "groups_address": groups.address,
            "order_times_address": arena.region(f"{name}.order_times", "<i8", count * ring).address,
            "message_times_address": arena.region(f"{name}.message_times", "<i8", count * ring).address,
            "recent_address": arena.region(f"{name}.recent", RECENT, recent).address,
            "buckets_address": arena.region(f"{name}.buckets", "<i8", recent).address,
        }
        for field, address in addresses.items():
            self._root[field] = address
        self._root["strategies"], self._root["instruments"] = strategies, len(instruments)
        self._root["times_mask"] = ring - 1
        self._root["recent_mask"] = self._root["bucket_mask"] = recent - 1
        self._dynamic = [item.dynamic for item in (*own, limits)]
        if any(isinstance(item, DynamicLimits) for item in self._dynamic):
            self._root["watch_address"] = lay_watch(arena, f"{name}.watch", strategies, pairs, self._dynamic)
        _circle_groups(groups.view, [int(group) for group in bound.view["group"][: len(instruments)]])
        for scope, row in enumerate(rows):
            for limit, value in enumerate(row):
                self._set(scope, limit, value)

    @property
    def watching(self) -> bool:
        """Whether there are dynamic limits."""
        return int(self._root["watch_address"]) != 0

    def _set(self, scope: int, limit: int, value: int) -> None:
        if not set_limit(self.address, scope, limit, value):
            raise ValueError(
                f"risk limit {Limit(limit).name.lower()} of scope {scope}: {value} cannot be kept "
                f"(rates go to {int(self._root['times_mask'])} a second; make the stage with a larger max_rate)"
            )

    def set_limits(self, scope: int, limits: RiskLimits) -> None:
        """Replace the limits of a strategy, or (scope: their number) of the whole account, between kernel calls.

        Raises
        ------
        ValueError
            A limit is missing or cannot be kept, or the dynamic ones are others: those are set when the run starts.
        """
        if limits.dynamic != self._dynamic[scope]:
            raise ValueError(
                f"scope {scope}: dynamic limits are set when a run starts; expected {self._dynamic[scope]}, found "
                f"{limits.dynamic}"
            )
        for limit, value in enumerate(_named(f"scope {scope}", limits)):
            self._set(scope, limit, value)

    def set_one(self, scope: int, limit: int, value: int) -> None:
        """Change one limit of a strategy or (scope: their number) of the account, in its own units."""
        self._set(scope, limit, value)

    def connect(self, orders: OrderTable, portfolio: Portfolio, books_address: int = 0, tape_address: int = 0) -> None:
        """Tell the stage what to read; breakers count from the accounts' equity now.

        Parameters
        ----------
        books_address : int
            Of the local book store; 0: there is none, and last trades and reference prices serve.
        tape_address : int
            Of TAPE records, one an instrument, that the engine keeps; 0: the stage's own.
        """
        self._root["orders_address"] = orders.address
        self._root["portfolio_address"] = portfolio.address
        self._root["books_address"] = books_address
        if tape_address:
            self._root["tape_address"] = tape_address
        for guard, account in zip(self.guards.view, portfolio.accounts.view, strict=True):
            guard["loss_base"] = guard["peak_base"] = account["equity"]


def _named(whose: str, limits: RiskLimits) -> list[int]:
    try:
        return limits.scaled()
    except ValueError as error:
        raise ValueError(f"{whose}: {error}") from error


def _circle_groups(following: object, groups: list[int]) -> None:
    """Link the instruments of each symbol in a circle: each points at the next one, the last at the first."""
    view = following
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, group in enumerate(groups):
        if group in last:
            view[last[group]] = number  # type: ignore[index]
        else:
            first[group] = number
        last[group] = number
    for group, number in last.items():
        view[number] = first[group]  # type: ignore[index]

"""The parts of the report, from the headline to the hashes; each is a function of the data and may be empty."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from nanotick.engine.output import StrategyRun
from nanotick.research import charts, words
from nanotick.research.axes import log_histogram
from nanotick.research.diagnosis import refusal_counts
from nanotick.research.execution import HORIZONS_NS, Spread
from nanotick.research.page import figure, legend, section, signed, table
from nanotick.research.report_data import MOST_MARKETS, ReportData
from nanotick.research.statistics import Figures

HALF = 470  # width of a chart that shares its row
HISTOGRAM_BINS = 36
MOST_BARS = 20
MOST_INDICATORS = 40


def _tile(label: str, value: str, under: str = "", first: bool = False) -> str:
    small = f"<small>{under}</small>" if under else ""
    return f"<div{' class=first' if first else ''}><dt>{label}</dt><dd>{value}{small}</dd></div>"


def headline(data: ReportData) -> str:
    """The figures one asks for first."""
    total = data.statistics.total
    paid = f"{words.money(abs(total.fees))} of rebates" if total.fees < 0 else f"{words.money(total.fees)} of fees"
    under = f"{words.money(total.gross, signed=True)} before {paid}"
    drawdown = words.percent(total.max_drawdown_share, 2) + " of the peak"
    tiles = [
        _tile(f"Net profit{', ' + data.currency if data.currency else ''}", signed(total.net), under, first=True),
        _tile("Max drawdown", words.money(total.max_drawdown), drawdown if total.capital > 0 else ""),
        _tile("Sharpe, annualised", words.number(total.sharpe), "one-minute changes"),
        _tile("Fills", words.count(total.fills), f"of {total.orders:,} orders"),
        _tile("Maker share", words.percent(total.maker_share), "of traded value"),
        _tile("Return", words.percent(total.return_share, 3), f"on {words.compact(total.capital)}"),
        _tile("Mark-out after 10 s", words.number(total.mark_outs[2].ticks, 3, signed=True), "ticks a unit traded"),
        _tile("Turnover", words.compact(total.turnover), f"{words.number(total.turnover_ratio, 1)} × capital"),
        _tile("Hit ratio", words.percent(total.hit_ratio), "of closing fills"),
    ]
    return f'<section class="headline">{"".join(tiles)}</section>'


def silence(data: ReportData) -> str:
    """Why a strategy did not trade, and what a reader must know about the figures."""
    found = data.result.diagnosis.silent
    if not found and not data.statistics.notes:
        return ""
    parts = []
    for finding in found:
        details = "".join(f"<li>{escape(d)}</li>" for d in finding.details)
        parts.append(f"<h2>{escape(finding.strategy)} did not trade</h2>{escape(finding.sentence)}<ul>{details}</ul>")
    parts += [f'<div class="said">{escape(note)}</div>' for note in data.statistics.notes]
    return f'<section class="note">{"".join(parts)}</section>'


def equity(data: ReportData) -> str:
    """Profit over time and the drawdown under it."""
    lines = data.equity_lines()
    down = data.drawdown_line()
    body = legend((line.name, line.style) for line in lines) if len(lines) > 1 else ""
    body += figure(
        lambda w: charts.line_chart(w, 300 if w > 500 else 230, data.axis, lines, "Profit over time", zero=True)
    )
    body += "<h3>Drawdown</h3>"
    body += figure(lambda w: charts.line_chart(w, 120, data.axis, [down], "Drawdown over time", zero=True))
    said = "Net of fees; open positions at the mid of the best bid and offer."
    return section("Profit and drawdown", body, said)


def _row(figures: Figures, name: str) -> list[str]:
    return [
        name,
        signed(figures.net),
        signed(figures.gross),
        words.money(figures.fees),
        words.money(figures.max_drawdown),
        words.number(figures.sharpe),
        words.number(figures.sortino),
        words.count(figures.orders),
        words.count(figures.fills),
        words.percent(figures.order_fill_ratio),
        words.percent(figures.maker_share),
        words.percent(figures.hit_ratio),
        words.compact(figures.turnover),
    ]


def strategies(data: ReportData) -> str:
    """A line a strategy, its instruments under it."""
    rows: list[list[str]] = []
    found = data.statistics
    for number, figures in enumerate(found.strategies):
        rows.append(_row(figures, f"<b>{escape(figures.name)}</b>"))
        mine = [(i, f) for (s, i), f in found.pairs.items() if s == number]
        for instrument, part in mine if len(mine) > 1 else []:
            rows.append(_row(part, f"&emsp;{escape(data.result.instruments[instrument].symbol)}"))
    if len(found.strategies) > 1:
        rows.append(_row(found.total, "all together"))
    head = (
        "Strategy", "Net", "Gross", "Fees", "Drawdown", "Sharpe", "Sortino", "Orders", "Fills", "Filled", "Maker",
        "Hits", "Turnover",
    )  # fmt: skip
    return section("Strategies", table(head, rows, total=len(found.strategies) > 1))


def attribution(data: ReportData) -> str:
    """Where profit came from: by cause, by instrument and strategy, by hour."""
    total = data.statistics.total
    parts = total.attribution
    causes = [
        ("Spread captured", parts.spread),
        ("Adverse selection", parts.adverse_selection),
        ("Inventory", parts.inventory),
        ("Fees", -total.fees),
        ("Net profit", total.net),
    ]
    said = (
        f"Spread: distance of fills from the mid. Adverse selection: what the mid did in the "
        f"{words.duration(parts.horizon_ns)} after. Inventory: the rest."
    )
    cause = section(
        "By cause", figure(lambda w: charts.bars(w, causes, "Profit by cause", _signed, running=True), HALF), said
    )
    pairs = sorted(
        ((f.name, f.net) for f in data.statistics.pairs.values() if f.fills), key=lambda item: -abs(item[1])
    )[:MOST_BARS]
    pairs.sort(key=lambda item: -item[1])
    source = section(
        "By strategy and instrument",
        figure(lambda w: charts.bars(w, pairs, "Net profit by strategy and instrument", _signed), HALF),
        f"Net of fees{'; the ' + str(MOST_BARS) + ' largest' if len(data.statistics.pairs) > MOST_BARS else ''}.",
    )
    hours: dict[int, float] = {}
    for _, hour, net in data.statistics.hours:
        hours[hour] = hours.get(hour, 0.0) + net
    items = [(f"{hour:02d}h", net) for hour, net in sorted(hours.items())]
    by_hour = section(
        "By hour", figure(lambda w: charts.columns(w, 190, items, "Net profit by hour", words.compact), HALF),
        "Net profit made in each hour of the day" + (f",{data.zone_words}." if data.zone_words else "."),
    )  # fmt: skip
    return f'<div class="two">{cause}{source}</div><div class="two">{by_hour}{mark_outs(data)}</div>'


def _signed(value: float) -> str:
    return words.money(value, signed=True)


def mark_outs(data: ReportData) -> str:
    """What fills were worth a while later."""
    names = [words.duration(h) if h >= 1e9 else f"{h / 1e9:g} s" for h in HORIZONS_NS]
    series = data.group_mark_outs()
    body = legend((name, style) for name, style, _ in series)
    body += figure(
        lambda w: charts.profile(w, 190, names, series, "Mark-outs in ticks", lambda v: words.number(v, 2)), HALF
    )
    said = "Mean of mid later minus fill price, in ticks, in our favour above zero."
    return section("Mark-outs", body, said)


def markets(data: ReportData) -> str:
    """Price with fills and the position under it, an instrument at a time."""
    parts = []
    for number in data.drawn:
        item = data.result.instruments[number]
        ts, bid, ask = data.quotes(number)
        fills = data.result.fills_of(instrument=number)
        shown = (
            np.asarray(fills["ts_venue"]), np.asarray(fills["price_float"]), np.asarray(fills["qty_float"]),
            np.asarray(fills["side"]),
        )  # fmt: skip
        places = min(item.price_decimals, 8)
        lines = data.inventory_lines(number)

        def price(w: int, ts: Any = ts, bid: Any = bid, ask: Any = ask, shown: Any = shown, n: int = places) -> str:
            return charts.price_chart(
                w, 280 if w > 500 else 220, data.axis, ts, bid, ask, shown, "Price with fills",
                lambda v: words.number(v, n),
            )  # fmt: skip

        def held(w: int, lines: Any = lines) -> str:
            return charts.line_chart(w, 120, data.axis, lines, "Position over time", zero=True)

        key = (
            '<ul class="legend"><li><i class="tri up"></i>bought</li><li><i class="tri down"></i>sold</li>'
            '<li style="color:var(--band)"><i style="height:9px"></i><span style="color:var(--soft)">best bid to best '
            "ask</span></li></ul>"
        )
        body = key + figure(price) + "<h3>Position</h3>" + legend((x.name, x.style) for x in lines) + figure(held)
        parts.append(section(f"{item.symbol} at {item.venue}", body))
    if len(data.result.instruments) > MOST_MARKETS:
        count = len(data.result.instruments)
        parts.append(f'<p class="said">Drawn are the {MOST_MARKETS} most traded of {count} instruments.</p>')
    return "".join(parts)


def _times(rows: list[tuple[str, Spread]]) -> str:
    """A table of how long things took."""
    head = ("", "least", "median", "90 %", "99 %", "most")
    return table(
        head,
        [[n, *(words.duration(v) for v in (x.least, x.median, x.p90, x.p99, x.most))] for n, x in rows if x.count],
    )


def quality(data: ReportData) -> str:
    """Inventory, shortfall and what else is asked of execution, a line a strategy and instrument."""
    rows = []
    for figures in data.statistics.pairs.values():
        if not figures.fills:
            continue
        held, short = figures.inventory, figures.shortfall
        assert held is not None
        rows.append(
            [
                escape(figures.name),
                words.compact(held.mean),
                words.compact(held.mean_absolute),
                f"{words.compact(held.largest_short)} to {words.compact(held.largest_long)}",
                words.percent(held.share_flat),
                words.money(figures.attribution.spread, signed=True),
                words.money(figures.attribution.adverse_selection, signed=True),
                words.number(short.bps, 3),
                words.money(short.opportunity, signed=True),
                words.number(figures.profit_factor),
            ]
        )
    if not rows:
        return ""
    head = (
        "Position", "Mean", "Mean size", "Range", "Time flat", "Spread captured", "Adverse selection",
        "Shortfall, bps", "Opportunity", "Profit factor",
    )  # fmt: skip
    return section("Inventory and execution", table(head, rows))


def orders(data: ReportData) -> str:
    """How long orders took and how they fared in the queue."""
    total, table_ = data.statistics.total, data.result.orders
    if not len(table_):
        return ""
    answered = table_[(np.asarray(table_["ts_venue"]) > 0) & (np.asarray(table_["ts_ack"]) > 0)]
    round_trip = np.asarray(answered["ts_ack"] - answered["ts_decided"], np.float64)
    queue = total.queue
    scale = np.array([10.0**i.qty_decimals for i in data.result.instruments])
    known = table_[np.asarray(table_["queue_ahead"]) > 0]
    ahead = np.asarray(known["queue_ahead"]) / scale[np.asarray(known["instrument"])]
    drawn = "<p>No order was answered.</p>"
    if len(round_trip):
        drawn = _times(
            [
                ("to the venue", total.latency.to_venue),
                ("and back", total.latency.to_ack),
                ("both", total.latency.round_trip),
            ]
        )
    if len(round_trip) and np.ptp(round_trip) > 0:
        edges, counts = log_histogram(round_trip, HISTOGRAM_BINS)
        drawn = figure(lambda w: charts.histogram(w, 190, edges, counts, "Order latency", words.duration), HALF) + drawn
    parts = [section("Order latency", drawn, "From the decision until the venue's answer was known here.")]
    waiting = _times([("filled", queue.time_to_fill), ("never filled", queue.time_resting)])
    if len(ahead):
        edges_q, counts_q = log_histogram(ahead, HISTOGRAM_BINS)
        body = figure(lambda w: charts.histogram(w, 190, edges_q, counts_q, "Quantity ahead", words.compact), HALF)
        quarters = [
            [f"up to {words.compact(most)}", f"{number:,}", words.percent(share)]
            for most, number, share in queue.fill_by_ahead
        ]
        body += table(("Quantity ahead", "Orders", "With a fill"), quarters) + "<h3>Time resting</h3>" + waiting
        parts.append(section("Queue", body, "Orders by the quantity before them when they were accepted."))
    elif queue.time_to_fill.count or queue.time_resting.count:
        parts.append(section("Time resting", waiting, "Until the first fill, or the end."))
    return f'<div class="two top">{"".join(parts)}</div>'


def refusals(data: ReportData) -> str:
    """What risk refused."""
    rows = []
    for number, run in enumerate(data.result.strategies):
        rows += [
            [escape(run.name), escape(name.replace("_", " ")), f"{count:,}", escape(example)]
            for name, count, example in refusal_counts(data.result, number)
        ]
    if not rows:
        return section("Risk", "<p>No order was refused.</p>")
    return section(
        "Risk",
        table(("Strategy", "Check", "Refused", "Last one"), rows, text=(3,)),
        "Orders refused before they were sent.",
    )


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested configuration as dotted names."""
    if isinstance(value, dict):
        return [
            pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, (list, tuple)):
        return [(prefix, ", ".join(str(v) for v in value))]
    return [(prefix, str(value))]


def _alike(data: ReportData, group: str, members: list[int]) -> list[tuple[str, list[StrategyRun]]]:
    """Instances of a group: together if all have the same parameters, else each."""
    runs = [data.result.strategies[n] for n in members]
    if all(dict(run.parameters) == dict(runs[0].parameters) for run in runs):
        return [(group, runs)]
    return [(run.name, [run]) for run in runs]


def _value(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)


def _indicators(data: ReportData, runs: Sequence[StrategyRun]) -> str:
    """What the indicators of a strategy's instances said at the end; nothing if it has none."""
    held = [i for run in runs for i in run.indicators]
    if not held:
        return ""
    rows = []
    for item in held[:MOST_INDICATORS]:
        symbol = data.result.instruments[item.instrument].symbol if item.instrument >= 0 else ""
        said = ", ".join(f"{k} {words.significant(v)}" for k, v in item.values.items())
        title = f'<span title="{escape(item.described)}">{escape(item.name)}</span>'
        rows.append([f"{title} {escape(symbol)}".strip(), f"<code>{escape(said)}</code>", "" if item.ready else "no"])
    more = len(held) - len(rows) + sum(run.indicators_left_out for run in runs)
    about = f"<p>{more:,} more are not shown.</p>" if more else ""
    return table(("Indicator at the end", "Values", "Ready"), rows, text=(1,)) + about


def parameters(data: ReportData) -> str:
    """Parameters of the strategies with their indicators' last values, and the configuration of the run."""
    parts = []
    for group, members in data.groups.items():
        for names, runs in _alike(data, group, members):
            run = runs[0]
            rows = [[escape(str(k)), f"<code>{escape(_value(v))}</code>"] for k, v in run.parameters.items()]
            about = f"<p>{escape(run.doc)}</p>" if run.doc else ""
            name = escape(names) + (f" <code>{escape(run.class_name)}</code>" if run.class_name else "")
            inner = table(("Parameter", "Value"), rows) if rows else ""
            inner += _indicators(data, runs)
            parts.append(f"<div><h3>{name}</h3>{about}{inner}</div>")
    parts = [f'<div class="params">{"".join(parts)}</div>']
    config = [[escape(k), f"<code>{escape(v)}</code>"] for k, v in _flat(dict(data.result.output.config))]
    if config:
        inner = table(("Setting", "Value"), config, text=(1,))
        parts.append(f"<details><summary>Configuration of the run</summary>{inner}</details>")
    return section("Parameters", "".join(parts), long=True)


def provenance(data: ReportData) -> str:
    """What another run needs to get the same, and what this one ran on."""
    output = data.result.output
    counters = output.counters
    start = "warm" if counters.warm else "cold"
    rows = [(d.path, f"{d.rows:,} rows, {d.digest}") for d in output.data]
    for name, digest in (("code", output.code_hash), ("journal", output.journal_hash), ("state", output.state_hash)):
        if digest:
            rows.append((name, digest))
    rows += [
        ("events", f"{counters.events:,} in {counters.seconds:.3f} s, {counters.events_per_second / 1e6:,.2f} M/s"),
        (
            "start",
            f"{start}: {counters.compile_seconds:.2f} s to compile or load, {counters.total_seconds:.2f} s in all",
        ),
        ("machine", f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"),
    ]
    cells = [[escape(name), f"<code>{escape(text)}</code>"] for name, text in rows]
    return section("Data, code and machine", table(("", ""), cells, text=(1,)))


_MEANINGS = (
    (
        "Sharpe, Sortino",
        "Mean of one-minute changes of equity over their standard (downside) deviation, times the root of the minutes "
        "in a trading year: 252 sessions as long as the data's, or 365 days where the market never closes. Sharpe "
        "(1994); Sortino and Price (1994).",
    ),
    ("Max drawdown", "Largest fall of equity from its highest point so far."),
    (
        "Hits, profit factor",
        "Of the fills that reduced a position, against its average price and before fees: the share that gained, and "
        "the gains over the losses.",
    ),
    ("Filled", "Orders with a fill over orders sent."),
    (
        "Mark-out",
        "Quantity-weighted mean of the mid some time after a fill minus its price, times its side. Huang and Stoll "
        "(1996).",
    ),
    (
        "Spread captured, adverse selection",
        "Distance of fills from the mid when they were known here, and what the mid did until the horizon; together "
        "with the rest (inventory) they add up to gross profit.",
    ),
    (
        "Implementation shortfall",
        "What fills and fees cost against the mid when the order was decided, in basis points of the filled value; "
        "opportunity cost is the move away from what was not filled. Perold (1988).",
    ),
    ("Not defined", "A dash: no trades, no variance, no loss, or no mark at the horizon."),
)


def meanings(data: ReportData) -> str:
    """How the figures are defined."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _MEANINGS)
    inner = f'<summary>What the figures mean</summary><dl class="meaning">{items}</dl>'
    return f"<section><details>{inner}</details></section>"

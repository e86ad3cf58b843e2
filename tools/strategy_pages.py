"""Write the page and the picture of every built-in strategy: `python -m tools.strategy_pages`.

A page is made of what the code says: theory from the module's docstring, parameters and defaults from the classes, and
a picture of a run on a seeded market. `--check` writes nothing and exits 1 if a page is not current; `--pictures` looks
at, or draws, the pictures too (it is what writing does).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nanotick.strategies import BUILT_IN, built_in
from nanotick.strategies.describe import Described, described
from nanotick.strategy.base import Strategy
from tools.strategy_markets import MARKETS, Market

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = REPOSITORY / "docs" / "strategies"
PICTURES = REPOSITORY / "docs" / "images" / "strategies"
SEED = 7
HOURS = 0.5
LATENCY = 45_000  # ns each way
CASH = "1000000"
MINUTE = 60_000_000_000

TITLES = {
    "glft": "Gueant-Lehalle-Fernandez-Tapia",
    "pov": "Percentage of volume",
    "twap": "Time-weighted average price",
    "vwap": "Volume-weighted average price",
    "avellaneda-stoikov": "Avellaneda-Stoikov",
}
# symbol of the synthetic day (none: the strategy's own market), and what is set differently from the defaults
WORK = {"quantity": 2_000, "duration": 25 * MINUTE}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "avellaneda-stoikov": ("BETA", {"gamma": 0.01, "k": 1.0, "max_inventory": 5, "horizon": 10.0}),
    "glft": ("BETA", {"gamma": 0.05, "k": 1.5, "sigma": 0.0, "limit": 5, "microprice": 1.0}),
    "grid": ("BETA", {"step": 4, "max_inventory": 5}),
    "imbalance": ("ALFA", {"threshold": 0.8}),
    "mean-reversion": ("ALFA", {}),
    "momentum": ("GAMA", {"window": 20, "entry": 1.0, "surge": 1.0}),
    "twap": ("BETA", WORK),
    "vwap": ("BETA", WORK),
    "pov": ("BETA", {**WORK, "rate": 0.05}),
    "implementation-shortfall": (
        "BETA",
        {**WORK, "risk_aversion": 2e-6, "sigma": 2.0, "eta": 2.5e-6, "gamma": 2.5e-7, "day": 2700.0},
    ),
    "sniper": ("BETA", {**WORK, "within": 1, "least": 200, "clip": 200}),
    "iceberg": ("BETA", WORK),
    "cross-venue-arbitrage": ("", {"edge": 1, "limit": 500}),
    "latency-arbitrage": ("", {"trigger": 3.0}),
    "statistical-arbitrage": ("", {"memory": 120.0, "entry": 1.5, "leave": 0.2, "value": 20_000.0}),
    "triangular-arbitrage": ("", {"edge": 0.0002, "value": 5_000.0}),
}


def title(name: str) -> str:
    """Heading of a page."""
    return TITLES.get(name, name.replace("-", " ").capitalize())


def prose(doc: str) -> str:
    """A docstring as Markdown: what is indented is a formula, the rest is text in which `<` is no tag."""
    lines = (line if line.startswith("    ") else line.replace("<", "&lt;") for line in doc.splitlines())
    return re.sub(r"(?m)^(?!    )(.*)$", lambda m: m[1].replace("*", "\\*"), "\n".join(lines))


def written(value: Any) -> str:
    """A default as text, whole numbers in groups of three."""
    return f"{value:,}" if type(value) is int else str(value)


def row(item: Described) -> str:
    """One line of the table of parameters."""
    default = f"{item.length} zeros" if item.kind == "array" else written(item.default)
    meaning = item.meaning.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return f"| `{item.name}` | {item.kind} | {default} | {meaning} |"


def how(name: str) -> str:
    """How the picture's run can be had again."""
    symbol, changed = RUNS[name]
    settings = "".join(
        f" --set {key}={value:_}" if type(value) is int else f" --set {key}={value}" for key, value in changed.items()
    )
    if symbol:
        return (
            f"On {symbol} of the synthetic day (seed {SEED}), {LATENCY / 1000:g} microseconds each way, without fees:"
            "\n\n"
            f"    nanotick data synthetic -o day.nt --hours {HOURS:g}\n"
            f"    nanotick backtest day.nt -s {name} --symbols {symbol} --cash {CASH}{settings}"
            f" --set venue.entry_latency={LATENCY} --set venue.response_latency={LATENCY} --html run.html"
        )
    made = MARKETS[name]
    told = (inspect.getdoc(made) or "").rstrip(".")
    given = ", ".join(f"{key}={value}" for key, value in changed.items())
    return (
        f"In a made market, `{made.__name__}({SEED})` of `tools/strategy_markets.py` ({told[0].lower()}{told[1:]}), "
        f"{LATENCY / 1000:g} microseconds each way, without fees, with `{given}`. On recordings, one file an "
        f"instrument:\n\n    nanotick backtest first.nt second.nt{' third.nt' if 'triang' in name else ''} -s {name}"
        f"{settings} --no-per-symbol --html run.html"
    )


def page(name: str) -> str:
    """The page's text."""
    module, class_name = BUILT_IN[name]
    cls = built_in(name)
    doc = inspect.cleandoc(importlib.import_module(module).__doc__ or "")
    path = f"src/{module.replace('.', '/')}.py"
    table = "\n".join(row(item) for item in described(cls))
    bases = [base for base in cls.__mro__[1:] if issubclass(base, Strategy) and base is not Strategy]
    common = "".join(
        f"## Common to all of its kind\n\n{prose(inspect.cleandoc(sys.modules[base.__module__].__doc__ or ''))}\n\n"
        for base in bases
    )
    return (
        f"# {title(name)}\n\n{prose(doc)}\n\n"
        f"`{name}`, class `{class_name}` in `{path}`.\n\n"
        f"{common}## Parameters\n\n| name | type | default | meaning |\n| --- | --- | --- | --- |\n{table}\n\n"
        f"## A run\n\n![Profit, and price with fills](../images/strategies/{name}.svg)\n\n{how(name)}\n\n"
        f"A synthetic market shows that a strategy runs, not that it earns.\n"
    )


@cache
def _day() -> Market:
    from nanotick.data.synthetic import synthetic_day

    day = synthetic_day(seed=SEED, seconds=HOURS * 3600)
    return day.events, day.instruments


def lean(svg: str) -> str:
    """A picture without the style rules of a report that it does not use."""
    head, style, rest = re.split(r"<style>|</style>", svg, maxsplit=2)
    used = set(" ".join(re.findall(r'class="([^"]*)"', rest)).split())

    def kept(rule: re.Match[str]) -> str:
        chosen = [set(re.findall(r"\.([a-z][\w-]*)", part)) for part in rule[1].split(",") if part.strip()[:1] == "."]
        return rule[0] if any(classes <= used for classes in chosen) else ""

    roots = "".join(
        re.findall(r":root \{[^}]*\}|@media \(prefers-color-scheme: dark\) \{\s*:root \{[^}]*\}\s*\}", style)
    )
    rules = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^}]*\})*\s*\}|:root \{[^}]*\}|/\*.*?\*/", "", style, flags=re.DOTALL)
    rules = "\n".join(filter(None, (kept(m).strip() for m in re.finditer(r"([^{}]+)\{[^}]*\}", rules))))
    return f"{head}<style>{roots}\n{rules}</style>{rest}"


def picture(name: str) -> str:
    """The picture of a run as SVG text."""
    from nanotick.exchange.config import VenueConfig
    from nanotick.research.backtest import StrategySetup, backtest
    from nanotick.research.picture import build_picture

    symbol, changed = RUNS[name]
    data = _day() if symbol else MARKETS[name](SEED)
    result = backtest(
        data,
        StrategySetup(built_in(name)(**changed), cash=int(CASH) * 10**6, name=name),
        venue=VenueConfig(entry_latency=LATENCY, response_latency=LATENCY),
        symbols=(symbol,) if symbol else (),
        sample_interval=2.0,
        rates={"BTC": 50_000} if "triang" in name else None,
    )
    return lean(build_picture(result))


def files(names: Sequence[str], pictures: bool) -> Iterator[tuple[Path, str]]:
    """What should be on disk."""
    for name in names:
        yield PAGES / f"{name}.md", page(name)
        if pictures:
            yield PICTURES / f"{name}.svg", picture(name)


def _unstyled(text: str) -> str:
    """Without the colours, which follow those of reports at the next drawing and make nothing wrong until then."""
    return re.sub("<style>.*?</style>", "", text, flags=re.DOTALL)


def stale(pictures: bool = False) -> list[str]:
    """Paths of pages (and pictures) that are not what the code says, and of those that belong to nothing."""
    wrong = []
    for path, text in files(list(BUILT_IN), pictures):
        if not path.exists() or _unstyled(path.read_text("utf-8")) != _unstyled(text):
            wrong.append(path)
    for folder, suffix in ((PAGES, ".md"), (PICTURES, ".svg")):
        wrong += [path for path in folder.glob(f"*{suffix}") if path.stem not in BUILT_IN]
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in wrong)


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="strategies; all by default")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if something is not current")
    parser.add_argument("--pictures", action="store_true", help="check pictures too")
    asked = parser.parse_args()
    if asked.check:
        wrong = stale(asked.pictures)
        for name in wrong:
            print(f"{name} is not current: run python -m tools.strategy_pages")
        return 1 if wrong else 0
    for path, text in files(asked.names or list(BUILT_IN), True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"{path.relative_to(REPOSITORY)}  {len(text.encode()):,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

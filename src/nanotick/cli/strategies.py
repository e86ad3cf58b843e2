"""`nanotick strategies`: what is built in, and what can be set."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def describe() -> list[dict[str, Any]]:
    """Name, class, first sentence and parameters of every built-in strategy."""
    from nanotick.research.run_config import load_strategy
    from nanotick.strategies import BUILT_IN
    from nanotick.strategies.describe import described

    rows = []
    for name in BUILT_IN:
        cls = load_strategy(name)
        known = [p for p in described(cls) if p.kind != "array"]
        rows.append(
            {
                "name": name,
                "class": f"{cls.__module__}:{cls.__qualname__}",
                "about": (cls.__doc__ or "").strip().splitlines()[0],
                "parameters": {p.name: p.default for p in known},
                "meaning": {p.name: p.meaning for p in known},
            }
        )
    return rows


def strategies(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the built-in strategies with their parameters and defaults.

    For example:

    nanotick strategies

    nanotick strategies --json

    Parameters
    ----------
    as_json
        Print a list of objects: name, class, about, parameters, meaning.
    """
    rows = describe()
    if as_json:
        from nanotick.cli.progress import print_json

        print_json(rows)
        return 0
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for row in rows:
        console.print(f"\n[bold]{row['name']}[/]  {row['about']}", highlight=False)
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(style="dim")
        for name, value in row["parameters"].items():
            table.add_row(f"  {name}", f"{value:,}" if type(value) is int else str(value), row["meaning"].get(name, ""))
        console.print(table)
    console.print("\nA strategy of your own: nanotick backtest DATA --strategy path.py:Class", highlight=False)
    return 0

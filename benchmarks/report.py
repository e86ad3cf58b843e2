"""Printing results: one JSON list for programs, one table for people."""

import json
import os
import platform
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.registry import Result

_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def as_json(results: list[Result]) -> str:
    """Return the results as a JSON list of objects with the fields of `Result`, in order."""
    return json.dumps([asdict(result) for result in results], indent=2)


def scaled(value: float, unit: str) -> str:
    """Return a number with its unit, three significant digits and a decimal prefix where the unit is a rate."""
    if unit.endswith("/s"):
        for scale, prefix in _SCALES:
            if value >= scale:
                return f"{value / scale:.3g} {prefix} {unit}"
    return f"{value:.3g} {unit}" if abs(value) < 1e4 else f"{value:,.0f} {unit}"


def machine() -> str:
    """Return what the figures were measured on: processor, cores, system, Python."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass  # not Linux: the platform's own name will do
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def print_table(results: list[Result], console: Console) -> None:
    """Print the results as a table, with the machine they were measured on."""
    table = Table(caption=machine(), caption_justify="left")
    for name in ("benchmark", "value", "peer", "peer's value", "ratio", "reach"):
        table.add_column(name, justify="left" if name in ("benchmark", "peer") else "right", overflow="fold")
    for result in results:
        mark = {None: "", True: " [green]reached[/]", False: " [red]not yet[/]"}[result.reached]
        table.add_row(
            result.name,
            scaled(result.value, result.unit),
            result.peer or "",
            "" if result.peer_value is None else scaled(result.peer_value, result.unit),
            "" if result.ratio is None else f"{result.ratio:.3g}x",
            f"{result.reach or ''}{mark}",
        )
    console.print(table)

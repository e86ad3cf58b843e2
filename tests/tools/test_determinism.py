"""The determinism lint sees each cause of two runs differing, and leaves innocent code alone."""

from pathlib import Path

import pytest

from tools.determinism import ALLOWED, STATE_PACKAGES, is_allowed, is_money, lint_source, lint_state_packages

REFUSED = [
    ("wall-clock", "import time\ndef f():\n    return time.time_ns()"),
    ("wall-clock", "import time as t\nnow = t.monotonic_ns"),
    ("wall-clock", "from time import perf_counter_ns as now"),
    ("wall-clock", "import datetime\nx = datetime.datetime.now()"),
    ("wall-clock", "from datetime import datetime as d, UTC\nx = d.now(UTC)"),
    ("wall-clock", "import numpy as np\nx = np.datetime64('now')"),
    ("randomness", "import random\nx = random.random()"),
    ("randomness", "from random import shuffle"),
    ("randomness", "import random\nx = random.Random()"),
    ("randomness", "import numpy as np\nx = np.random.normal(0.0, 1.0)"),
    ("randomness", "from numpy.random import default_rng\nx = default_rng()"),
    ("randomness", "import os\nx = os.urandom(8)"),
    ("randomness", "import uuid\nx = uuid.uuid4()"),
    ("randomness", "from uuid import uuid4"),
    ("randomness", "import secrets\nx = secrets.token_hex()"),
    ("unordered", "for x in {3, 1, 2}:\n    print(x)"),
    ("unordered", "def f(names):\n    open_ids = set(names)\n    for name in open_ids:\n        print(name)"),
    ("unordered", "def f(a: set[int], b):\n    seen: set[int] = a\n    return [x for x in seen | b]"),
    ("unordered", "x = list(set('abc'))"),
    ("unordered", "x = ','.join(set('abc'))"),
    ("unordered", "x = ','.join(c for c in set('abc'))"),
    ("unordered", "x = [*frozenset('abc')]"),
    ("unordered", "x = {k: 1 for k in {'a', 'b'}.union('c')}"),
    ("unordered", "x = hash('BTCUSDT')"),
    ("unordered", "import os\nfor name in os.listdir('.'):\n    print(name)"),
    ("unordered", "def f(path):\n    return [p for p in path.iterdir()]"),
    ("unordered", "def f(path):\n    for p in path.glob('*.nt'):\n        print(p)"),
    ("thread", "import threading"),
    ("thread", "from concurrent.futures import ThreadPoolExecutor"),
    ("thread", "import multiprocessing.shared_memory"),
    ("thread", "from concurrent import futures"),
    ("thread", "import asyncio"),
    ("thread", "import os\nos.fork()"),
    ("thread", "from numba import njit\n@njit(parallel=True)\ndef f():\n    pass"),
    ("thread", "from numba import prange"),
    ("fastmath", "import numba\n@numba.njit(fastmath=True)\ndef f():\n    pass"),
    ("fastmath", "import numba\n@numba.njit(fastmath={'nnan'})\ndef f():\n    pass"),
    ("float-money", "limit_price: float = 0"),
    ("float-money", "def f(qty: float):\n    pass"),
    ("float-money", "mid_price = (1 + 2) / 2"),
    ("float-money", "def f(order):\n    order.cash = float(3)"),
    ("float-money", "import numpy as np\nx = np.dtype([('price', np.float64)])"),
    ("float-money", "x = [('fee', '<f8')]"),
    ("float-money", "def f(cash):\n    cash *= 0.5"),
]

INNOCENT = [
    "import numpy as np\nrng = np.random.default_rng(7)\nx = rng.normal()",
    "import random\nx = random.Random(3).random()",
    "for x in sorted({3, 1, 2}):\n    print(x)",
    "names = {'b', 'a'}\nfound = 'a' in names\ncount = len(names)\nbest = max(names)",
    "def f(a):\n    names = set(a)\n    names = sorted(names)\n    return [x for x in names]",
    "def f(a):\n    names = set(a)\n\ndef g(names):\n    return [x for x in names]",
    "def f(path):\n    return [p for p in sorted(path.glob('*.nt'))]",
    "import datetime\nx = datetime.datetime.fromtimestamp(0, datetime.UTC)",
    "import os\nx = os.path.join('a', 'b')",
    "fee_rate: float = 0.1\nfill_qty_share = 1 / 3\nimbalance: float = 0.5",
    "price: int = 3\nmid_price = (1 + 2) // 2\nx = [('price', '<i8'), ('microprice', 'f8')]",
    "import numba\n@numba.njit(fastmath=False, parallel=False)\ndef f():\n    pass",
    "timeout = 3\nclass C:\n    time = 1\nx = C.time",
]


@pytest.mark.parametrize(("rule", "source"), REFUSED)
def test_each_cause_of_nondeterminism_is_refused(rule, source):
    assert {finding.rule for finding in lint_source(source, "core/x.py")} == {rule}


@pytest.mark.parametrize("source", INNOCENT)
def test_innocent_code_is_left_alone(source):
    assert lint_source(source, "core/x.py") == []


def test_a_finding_names_file_line_rule_and_cause():
    (finding,) = lint_source("import time\n\nnow = time.time()\n", "core/x.py")
    assert str(finding) == "core/x.py:3: wall-clock: time.time"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("price", True), ("best_bid_px", True), ("fee_rate", False), ("microprice", False), ("queue_qty_ahead", True)],
)
def test_money_is_told_by_the_words_of_a_name(name, expected):
    assert is_money(name) is expected


def test_only_state_packages_are_judged_and_the_allow_list_is_heeded(tmp_path: Path):
    for package in ("core", "research"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "clock.py").write_text("import time\nx = time.time()\n")
        (tmp_path / package / "bar.py").write_text("import time\nx = time.time()\n")
    found = list(lint_state_packages(tmp_path))
    assert [(finding.path, finding.rule) for finding in found] == [("core/bar.py", "wall-clock")]
    assert is_allowed("core/clock.py", "wall-clock")
    assert not is_allowed("core/clock.py", "thread")


def test_every_allowed_exception_is_in_a_state_package_and_gives_its_reason():
    for pattern, _, reason in ALLOWED:
        assert pattern.split("/")[0] in STATE_PACKAGES
        assert len(reason.split()) >= 4

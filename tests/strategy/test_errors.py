"""A strategy that cannot work is refused with the user's own line and a cause in plain words."""

import importlib.util
import sys
from pathlib import Path

import pytest

from nanotick.strategy.base import Strategy, StrategyError
from nanotick.strategy.compile import compile_strategy

HEAD = """
import nanotick as nt

WIDTH = 3

def doubled(x):
    return 2 * x

class Probe(nt.Strategy):
    size: int = 1
    threshold: float = 2.0
    history: nt.Array = nt.floats(4)

"""


def load(tmp_path: Path, method: str) -> type[Strategy]:
    path = tmp_path / "probe.py"
    path.write_text(HEAD + "\n".join("    " + line for line in method.strip("\n").splitlines()) + "\n")
    spec = importlib.util.spec_from_file_location(f"probe_{abs(hash(str(tmp_path)))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: type[Strategy] = module.Probe
    return found


LINE = len(HEAD.splitlines()) + 2  # of the first statement of the method

CASES = [
    ("def on_book(self, ctx):\n    ctx.bset_bid()", "did you mean 'best_bid'?"),
    ("def on_book(self, ctx):\n    self.sise = 2", "self.sise is not declared; did you mean 'size'?"),
    ("def on_book(self, ctx):\n    self.size = 0.5 * ctx.mid()", "self.size is int and is given a float"),
    ("def on_book(self, ctx):\n    ctx.buy(self.size)", "missing a required argument: 'price'"),
    ("def on_book(self, ctx):\n    ctx.buy(self.size, 1, lif=2)", "unexpected keyword argument 'lif'"),
    ("def on_book(self, ctx):\n    ctx.now = 3", "ctx offers methods only"),
    ("def on_fill(self, ctx, fill):\n    fill.price = 3", "it is a view of the market's own record"),
    ("def on_fill(self, ctx, fill):\n    self.size = fill.prize", "did you mean 'price'?"),
    ("def on_book(self, ctx):\n    print(3)", "no print in compiled callbacks"),
    ("def on_book(self, ctx):\n    import math", "import at the top of the file"),
    ("def on_book(self, ctx):\n    x = f'{self.size}'", "no text in compiled callbacks"),
    ("def on_book(self, ctx):\n    with open('x') as f:\n        pass", "try and with are not available"),
]


@pytest.mark.parametrize(("method", "cause"), CASES)
def test_a_mistake_is_told_with_its_line_and_cause(tmp_path: Path, method: str, cause: str) -> None:
    with pytest.raises(StrategyError) as caught:
        compile_strategy(load(tmp_path, method))
    message = str(caught.value)
    assert cause in message
    assert f"probe.py:{LINE}:" in message
    assert method.splitlines()[1].strip() in message


@pytest.mark.parametrize(
    ("method", "cause"),
    [
        ("def on_book(self, ctx):\n    self.size = undefined_thing", "'undefined_thing' is not defined"),
        ("def on_book(self, ctx):\n    x = [1, 2]\n    self.size = len(x)", "needs memory at run time"),
        ("def on_book(self, ctx):\n    self.threshold = 'a'", "cannot be stored"),
    ],
)
def test_what_only_the_compiler_finds_is_told_in_plain_words(tmp_path: Path, method: str, cause: str) -> None:
    with pytest.raises(StrategyError) as caught:
        compile_strategy(load(tmp_path, method))
    assert cause in str(caught.value)
    assert "probe.py:" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_method_that_looks_like_a_callback_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="on_boook is no callback; did you mean 'on_book'"):
        load(tmp_path, "def on_boook(self, ctx):\n    self.size = 1")


def test_a_callback_with_wrong_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"on_fill takes \(self, ctx\) or \(self, ctx, fill\)"):
        load(tmp_path, "def on_fill(self, ctx, fill, more):\n    self.size = 1")


def test_an_annotation_that_is_no_field_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="an attribute is int, float, bool"):
        load(tmp_path, "name: str = 'x'\ndef on_book(self, ctx):\n    self.size = 1")


def test_an_unknown_parameter_is_refused_with_the_nearest(tmp_path: Path) -> None:
    probe = load(tmp_path, "def on_book(self, ctx):\n    self.size = 1")
    with pytest.raises(ValueError, match=r"no parameter 'treshold'; did you mean 'threshold'"):
        probe(treshold=1.0)
    with pytest.raises(ValueError, match=r"Probe\.size is int, found '1.5'"):
        probe(size="1.5")
    assert probe(size="7", threshold="0.25").parameters == {"size": 7, "threshold": 0.25}


def test_module_constants_and_plain_helpers_are_compiled_along(tmp_path: Path) -> None:
    probe = load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(WIDTH)")
    assert compile_strategy(probe)


def test_the_cache_key_follows_helpers_and_constants(tmp_path: Path) -> None:
    first = load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(WIDTH)").source_key()
    assert load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(WIDTH)").source_key() == first
    global HEAD
    before = HEAD
    try:
        HEAD = before.replace("2 * x", "3 * x")
        assert load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(WIDTH)").source_key() != first
        HEAD = before.replace("WIDTH = 3", "WIDTH = 4")
        assert load(tmp_path, "def on_book(self, ctx):\n    self.size = doubled(WIDTH)").source_key() != first
    finally:
        HEAD = before

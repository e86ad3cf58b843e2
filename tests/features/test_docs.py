"""The examples of the indicators' page and docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"


def test_examples_of_the_page() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 5
    assert failed == 0


@pytest.mark.parametrize("module", ["averages", "channel", "oscillators", "volatility", "microstructure"])
def test_examples_of_the_docstrings(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"nanotick.features.{module}"))
    assert tried >= 3
    assert failed == 0

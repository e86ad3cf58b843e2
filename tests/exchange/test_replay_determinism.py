"""The same day gives the same reports and the same state: compiled or interpreted, in one pass or from a snapshot."""

import os
import subprocess
import sys

import numpy as np

from nanotick.core.records import Kind
from tests.exchange import latent_day


def _digests_of_a_process(**environment):
    path = os.pathsep.join(p for p in sys.path if p)
    result = subprocess.run(
        [sys.executable, "-m", "tests.exchange.latent_day"],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_compiled_and_interpreted_are_equal_whatever_the_hash_seed():
    here = latent_day.digests()
    assert all(int(line.split()[2]) > 10 for line in here.splitlines()), "a day without fills proves nothing"
    assert _digests_of_a_process(NANOTICK_INTERPRET="1", PYTHONHASHSEED="7") == here


def test_same_input_twice_is_equal():
    assert latent_day.digest(latent_day.BUILT_IN, False) == latent_day.digest(latent_day.BUILT_IN, False)


def test_snapshot_and_tail_give_the_same_as_one_pass(tmp_path):
    items = latent_day.day(True)
    unbroken = latent_day.make(latent_day.BUILT_IN)
    latent_day.run(unbroken, items[:250])
    unbroken._arena.snapshot(tmp_path / "half.snap", 250)
    resumed = latent_day.make(latent_day.BUILT_IN)
    assert resumed._arena.restore(tmp_path / "half.snap") == 250
    expected, expected_arrivals = latent_day.run(unbroken, items[250:])
    found, arrivals = latent_day.run(resumed, items[250:])
    assert np.array_equal(found, expected)
    assert arrivals == expected_arrivals
    assert resumed._arena.digest() == unbroken._arena.digest()
    assert (found["kind"] == Kind.FILL).any()

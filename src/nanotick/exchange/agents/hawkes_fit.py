"""Maximum likelihood of mutually exciting flow by expectation and maximisation (Veen & Schoenberg 2008).

Each event came from the base of its type or from an earlier event; the probabilities of that follow from the present
parameters (expectation), and rates, branching and decays are ratios of their sums (maximisation). With exponential
kernels the sums run in one pass. Buying and selling are taken to be alike, which halves what has to be estimated.

The base of cancellations is a rate for each resting order, times the orders that rest: an order's own end must not be
taken for the offspring of its beginning. Where orders are not known one by one, it is a constant rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.exchange.agents.hawkes import CANCEL
from nanotick.exchange.agents.observe import flow_row_at
from nanotick.exchange.agents.records import SCALES, TYPES

_PAIRS = TYPES * TYPES
OVER_RELAXATION = 1.7  # below 2 it converges wherever the plain step does (Salakhutdinov & Roweis 2003)
EXPECTATION = np.dtype(
    [
        ("base", "<f8", (TYPES,)),  # in: base rates, 1/s; of cancellations 1/s and resting order
        ("branching", "<f8", (SCALES * _PAIRS,)),  # in: by scale, source, target
        ("decay", "<f8", (SCALES,)),  # in: 1/s
        ("memory", "<f8", (SCALES * TYPES,)),  # scratch: sums of exp(-b dt) by source
        ("delayed", "<f8", (SCALES * TYPES,)),  # scratch: sums of dt exp(-b dt)
        ("own", "<f8", (TYPES,)),  # out: expected events of the base
        ("offspring", "<f8", (SCALES * _PAIRS,)),  # out: expected offspring
        ("delay", "<f8", (SCALES,)),  # out: expected sum of their delays, s
        ("exposure", "<f8", (2,)),  # out: seconds times orders that rested, by side
        ("resting", "<f8", (2,)),  # scratch: orders that rest
        ("log_intensity", "<f8"),  # out: sum of log intensities
    ]
)
expectation_at = record_at(EXPECTATION, "Expectation")


@kernel("i8(i8,i8,i8)")
def expect(expectation_address: int, rows_address: int, count: int) -> int:
    """One expectation step over FLOW_ROW records by time; gives the number of events."""
    e = expectation_at(expectation_address)
    for i in range(SCALES * TYPES):
        e.memory[i] = 0.0
        e.delayed[i] = 0.0
    for i in range(SCALES * TYPES * TYPES):
        e.offspring[i] = 0.0
    for i in range(TYPES):
        e.own[i] = 0.0
    for k in range(SCALES):
        e.delay[k] = 0.0
    e.log_intensity = 0.0
    for side in range(2):
        e.exposure[side] = 0.0
        e.resting[side] = 1.0
    before = flow_row_at(rows_address, 0).ts
    for i in range(count):
        row = flow_row_at(rows_address, i)
        elapsed = (row.ts - before) * 1e-9
        before = row.ts
        target = row.type
        for side in range(2):
            e.exposure[side] = e.exposure[side] + elapsed * e.resting[side]
        e.resting[target & 1] = max(1.0, float(row.resting))
        if elapsed > 0.0:
            for k in range(SCALES):
                factor = math.exp(-e.decay[k] * elapsed)
                for source in range(TYPES):
                    j = k * TYPES + source
                    e.delayed[j] = factor * (e.delayed[j] + elapsed * e.memory[j])
                    e.memory[j] = factor * e.memory[j]
        base = e.base[target]
        if target >> 1 == CANCEL:
            base *= e.resting[target & 1]
        intensity = base
        for k in range(SCALES):
            for source in range(TYPES):
                j = k * TYPES + source
                intensity += e.branching[j * TYPES + target] * e.decay[k] * e.memory[j]
        e.log_intensity += math.log(intensity)
        e.own[target] = e.own[target] + base / intensity
        for k in range(SCALES):
            for source in range(TYPES):
                j = k * TYPES + source
                kick = e.branching[j * TYPES + target] * e.decay[k] / intensity
                e.offspring[j * TYPES + target] = e.offspring[j * TYPES + target] + kick * e.memory[j]
                e.delay[k] = e.delay[k] + kick * e.delayed[j]
        for k in range(SCALES):
            j = k * TYPES + target
            e.memory[j] = e.memory[j] + 1.0
    return count


@dataclass(frozen=True)
class HawkesFit:
    """What was estimated.

    Attributes
    ----------
    base : numpy.ndarray
        Base rate of each type, 1/s (of cancellations for each resting order), shape (6,).
    base_share : numpy.ndarray
        Share of the events of each category (limit, market, cancel) that nothing brought forth, shape (3,).
    branching : numpy.ndarray
        Mean direct offspring, shape (scales, source 6, target 6).
    decay : numpy.ndarray
        1/s, shape (scales,).
    log_likelihood : float
    iterations : int
    """

    base: npt.NDArray[Any]
    base_share: npt.NDArray[Any]
    branching: npt.NDArray[Any]
    decay: npt.NDArray[Any]
    log_likelihood: float
    iterations: int


def _mirrored(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The mean of a matrix over types and the same with buying and selling exchanged."""
    swap = np.array([1, 0, 3, 2, 5, 4])
    return 0.5 * (matrix + matrix[..., swap, :][..., :, swap])


def fit_hawkes(
    flows: npt.NDArray[Any],
    seconds: float,
    decay: tuple[float, float] = (20.0, 0.2),
    iterations: int = 100,
    tolerance: float = 1e-7,
) -> HawkesFit:
    """Estimate a mutually exciting process from order events.

    Parameters
    ----------
    flows : numpy.ndarray
        FLOW_ROW records by time.
    seconds : float
        Length of the observation.
    decay : tuple of float
        Where the decays of the two scales start, 1/s.
    iterations : int
        At most so many.
    tolerance : float
        Stop when the log-likelihood of an event gains less.
    """
    flows = np.ascontiguousarray(flows)
    counts = np.bincount(flows["type"], minlength=TYPES).astype(float)
    counts = 0.5 * (counts + counts[[1, 0, 3, 2, 5, 4]])
    state = np.zeros(1, EXPECTATION)
    row = state[0]
    row["base"] = np.maximum(0.95 * counts / seconds, 1e-9)
    resting = [float(np.mean(np.maximum(1, flows["resting"][flows["type"] & 1 == side]))) for side in range(2)]
    row["base"][4:] /= np.array(resting)
    row["branching"] = 0.05 / (SCALES * TYPES)  # little: what is not there need not be unlearned
    row["decay"] = decay
    last, done = -math.inf, 0
    shape = (SCALES, TYPES, TYPES)
    for done in range(1, iterations + 1):
        expect(state.ctypes.data, flows.ctypes.data, len(flows))
        branching = row["branching"].reshape(shape)
        exposure = np.concatenate([np.full(4, seconds), row["exposure"]])
        expected = float(row["base"] @ exposure) + float((branching.sum(axis=(0, 2)) * counts).sum())
        found = float(row["log_intensity"]) - expected
        offspring = _mirrored(row["offspring"].reshape(shape))
        row["base"] = _relaxed(row["base"], _pairs(row["own"]) / np.maximum(_pairs(exposure), 1e-12))
        row["branching"] = _relaxed(branching, offspring / np.maximum(counts, 1.0)[None, :, None]).reshape(-1)
        row["decay"] = np.maximum(offspring.sum(axis=(1, 2)) / np.maximum(row["delay"], 1e-12), 1e-6)
        if found - last < tolerance * len(flows) and done > 5:
            last = found
            break
        last = found
    share = row["own"].reshape(3, 2).sum(axis=1) / np.maximum(counts.reshape(3, 2).sum(axis=1), 1.0)
    return HawkesFit(row["base"].copy(), share, row["branching"].reshape(shape).copy(), row["decay"].copy(), last, done)


def _relaxed(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A step beyond what maximisation says, in logs: expectation and maximisation alone creeps towards zeros."""
    return np.maximum(after * np.power(after / np.maximum(before, 1e-300), OVER_RELAXATION - 1.0), 1e-12)


def _pairs(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each of a pair replaced by the pair's mean."""
    return np.repeat(values.reshape(-1, 2).mean(axis=1), 2)

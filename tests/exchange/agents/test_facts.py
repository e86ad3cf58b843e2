"""Estimators of stylised facts against series whose exponents are known."""

import numpy as np
import pytest

from nanotick.exchange.agents.facts import (
    autocorrelation,
    excess_kurtosis,
    fluctuation_exponent,
    hill,
)
from nanotick.exchange.agents.power_law import power_law


@pytest.mark.parametrize("alpha", [2.0, 3.0, 5.0])
def test_hill_finds_the_tail_index_within_its_band(alpha) -> None:
    rng = np.random.default_rng(5)  # its own: the order of tests must not matter
    found, band = hill(rng.uniform(size=40_000) ** (-1 / alpha))
    assert abs(found - alpha) < 2 * band and band < 0.1 * alpha


def test_kurtosis_tells_normal_from_fat_tailed() -> None:
    rng = np.random.default_rng(5)  # its own: the order of tests must not matter
    assert abs(excess_kurtosis(rng.normal(size=50_000))) < 0.15
    assert excess_kurtosis(rng.laplace(size=50_000)) == pytest.approx(3.0, abs=0.5)


def test_autocorrelation_of_an_autoregression_falls_geometrically() -> None:
    rng = np.random.default_rng(5)  # its own: the order of tests must not matter
    x, noise = np.zeros(50_000), rng.normal(size=50_000)
    for i in range(1, len(x)):
        x[i] = 0.6 * x[i - 1] + noise[i]
    assert autocorrelation(x, 4) == pytest.approx(0.6 ** np.arange(1, 5), abs=0.03)


@pytest.mark.parametrize("hurst", [0.5, 0.7, 0.85])
def test_the_fluctuation_exponent_of_signs_with_long_memory(hurst) -> None:
    """Fractional Gaussian noise by circulant embedding (Davies & Harte 1987); its signs keep the exponent."""
    rng = np.random.default_rng(5)  # its own: the order of tests must not matter
    n = 1 << 16
    k = np.arange(n + 1.0)
    covariance = 0.5 * (np.abs(k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst))
    spectrum = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real.clip(0)
    noise = rng.normal(size=2 * n) + 1j * rng.normal(size=2 * n)
    series = np.fft.fft(np.sqrt(spectrum / (2 * n)) * noise).real[:n]
    assert fluctuation_exponent(np.sign(series)) == pytest.approx(hurst, abs=0.06)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_the_impact_exponent_is_found_through_noise(exponent) -> None:
    rng = np.random.default_rng(5)  # its own: the order of tests must not matter
    size = rng.lognormal(sigma=1.0, size=20_000)
    move = size**exponent + rng.normal(size=20_000)
    law = power_law(size, move)
    assert law.exponent == pytest.approx(exponent, abs=0.05) and law.factor == pytest.approx(1.0, abs=0.05)


def test_the_error_of_the_exponent_is_what_it_scatters_by() -> None:
    """Noise that grows with size, as that of large orders does."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(60):
        size = rng.lognormal(-6.0, 1.3, size=1_200)
        found.append(power_law(size, 0.8 * size**0.5 + rng.normal(size=len(size)) * np.sqrt(size) * 3, 10))
    exponents = np.array([law.exponent for law in found])
    errors = np.array([law.error for law in found])
    assert np.nanmean(exponents) == pytest.approx(0.5, abs=0.05)
    assert np.nanmedian(errors) == pytest.approx(np.nanstd(exponents), rel=0.4)


def test_no_law_is_found_where_there_is_none() -> None:
    rng = np.random.default_rng(7)
    size = rng.lognormal(size=1_000)
    assert np.isnan(power_law(size, -np.sqrt(size) + 0.01 * rng.normal(size=1_000)).exponent)
    assert np.isnan(power_law(size[:50], size[:50]).exponent)

"""Streaming indicators: flat records with kernels over them, for strategies, for arrays and for other kernels."""

from nanotick.features.averages import EMA, SMA, VWAP, RollingVWAP, TimeEMA
from nanotick.features.channel import Donchian
from nanotick.features.indicator import Each, Indicator, Part, arguments_of, each, readings, source_of
from nanotick.features.microstructure import VPIN, Hawkes, KyleLambda, Microprice, OrderFlowImbalance
from nanotick.features.oscillators import ATR, MACD, RSI, Bollinger, ZScore
from nanotick.features.volatility import ClockVolatility, RealisedVolatility
from nanotick.features.window import PairWindow, Window

INDICATORS: tuple[type[Indicator], ...] = (
    EMA, TimeEMA, SMA, VWAP, RollingVWAP, ATR, RSI, MACD, Bollinger, ZScore, Donchian, RealisedVolatility,
    ClockVolatility, Microprice, OrderFlowImbalance, VPIN, KyleLambda, Hawkes,
)  # fmt: skip

__all__ = [
    "ATR",
    "EMA",
    "INDICATORS",
    "MACD",
    "RSI",
    "SMA",
    "VPIN",
    "VWAP",
    "Bollinger",
    "ClockVolatility",
    "Donchian",
    "Each",
    "Hawkes",
    "Indicator",
    "KyleLambda",
    "Microprice",
    "OrderFlowImbalance",
    "PairWindow",
    "Part",
    "RealisedVolatility",
    "RollingVWAP",
    "TimeEMA",
    "Window",
    "ZScore",
    "arguments_of",
    "each",
    "readings",
    "source_of",
]

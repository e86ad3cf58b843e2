"""Binance spot: the market data connection."""

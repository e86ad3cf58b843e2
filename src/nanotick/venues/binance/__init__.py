"""Binance spot: the market data connection, the trader, and what is listed."""

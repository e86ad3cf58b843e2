"""Binance spot: the market data connection, the trader, what is listed, and the venue served."""

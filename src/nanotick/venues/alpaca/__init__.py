"""Alpaca: US stocks over REST, `trade_updates` and the market data stream."""

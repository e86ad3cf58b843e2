"""Coinbase: Advanced Trade market data and orders, the order-by-order book of Exchange, and a served Advanced Trade."""

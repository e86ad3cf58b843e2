"""Kraken spot: market data with checked books, orders over the private WebSocket, and a served twin."""

"""Finnhub: last trades."""

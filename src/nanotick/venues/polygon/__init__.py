"""Polygon (Massive): market data of US stocks and indices."""

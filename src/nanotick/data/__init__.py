"""Recorded data in and out: formats, archives, the event file, its two time orders and the quality report."""

"""Codecs, one per protocol: pure functions between bytes and records, the same for recordings and live sockets."""

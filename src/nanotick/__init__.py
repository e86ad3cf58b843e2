"""nanotick: high-frequency trading in Python."""

__version__ = "0.1.0"

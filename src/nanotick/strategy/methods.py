"""All methods of `ctx` by name: importing this declares them."""

from nanotick.strategy import context as context
from nanotick.strategy import order_entry as order_entry
from nanotick.strategy.types import METHODS as METHODS

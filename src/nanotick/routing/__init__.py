"""Where and how to send an order: how much to rest, how much to take."""

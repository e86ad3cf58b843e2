"""Floor 3: the strategy class, the context it trades through, and its compilation."""

"""Floor 4: the step, and the runners that feed it."""

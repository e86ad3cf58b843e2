"""Composes the floors below into the step, and the runners that feed it."""

"""Yahoo: bars of the past."""

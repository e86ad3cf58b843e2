"""Whether kernels are compiled or interpreted.

`NANOTICK_INTERPRET=1` leaves every kernel an ordinary Python function, so that pdb, coverage and print work inside the
step and inside a strategy. The switch is read once, at import: one process is one or the other.
"""

import os

INTERPRET: bool = os.environ.get("NANOTICK_INTERPRET", "") not in ("", "0")

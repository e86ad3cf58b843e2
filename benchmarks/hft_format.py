"""hftbacktest's event record, written without importing it: 64 bytes, prices and quantities as floats.

Field by field what hftbacktest 2.4 documents for its `.npz` data; the flags are those of its `types.py`. Rows here are
in the order of both clocks, so each carries both the exchange's and the local flag.
"""

import numpy as np

HFT_EVENT = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),  # ns UTC
        ("local_ts", "<i8"),  # ns UTC
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)

DEPTH, TRADE = 1, 2
ADD_ORDER, CANCEL_ORDER, MODIFY_ORDER, FILL = 10, 11, 12, 13
EXCHANGE_AND_LOCAL = (1 << 31) | (1 << 30)
BUY, SELL = 1 << 29, 1 << 28

"""hftbacktest 2.4.4 converting a raw Binance futures recording; prints one line of JSON with rows a second.

    hftbacktest_convert.py RECORDING.gz

Processor time of `data.utils.binancefutures.convert`, median of five, without writing a file. The first of the six runs
compiles its correction kernels and is not counted.
"""

import contextlib
import io
import json
import statistics
import sys
import time

from hftbacktest.data.utils import binancefutures

RUNS = 5


def main() -> None:
    seconds = []
    rows = 0
    for run in range(RUNS + 1):
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.process_time_ns()
            # The buffer holds this recording; the default one of a hundred million rows would be charged as well.
            rows = len(binancefutures.convert(sys.argv[1], buffer_size=2_000_000))
            spent = time.process_time_ns() - start
        if run:
            seconds.append(spent / 1e9)
    print(json.dumps({"value": rows / statistics.median(seconds), "unit": "rows/s", "rows": rows}))


if __name__ == "__main__":
    main()

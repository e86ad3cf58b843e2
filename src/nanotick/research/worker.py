"""The worker's side of a local study: a process that opens a job once and answers tasks with outcomes.

Started by `executor.LocalProcesses` with one end of a socket pair. Ctrl-C is the parent's business; when the parent is
gone the socket ends, and so does the worker.
"""

from __future__ import annotations

import signal
import traceback
from multiprocessing.connection import Connection
from typing import Any

READY, BROKEN, DONE = "ready", "broken", "done"


def serve(handle: int) -> None:
    """Answer tasks until the connection ends.

    Parameters
    ----------
    handle : int
        File descriptor of the connection.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection: Connection[Any, Any] = Connection(handle)
    try:
        run = connection.recv().open()
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        connection.send((BROKEN, f"{type(error).__name__}: {error}", text))
        return
    connection.send((READY, None, ""))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            connection.send((DONE, run(task), ""))
        except (BrokenPipeError, ConnectionResetError):
            return

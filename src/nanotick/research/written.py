"""Results whose figures can be written: plain values, and a file of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nanotick.core.files import write_text


class Written:
    """A result that has its figures as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """The stable structure that `--json` prints."""
        raise NotImplementedError

    def write_json(self, path: str | Path) -> Path:
        """Write `to_dict()` as JSON, whole or not at all."""
        return write_text(Path(path), json.dumps(self.to_dict(), indent=1) + "\n")

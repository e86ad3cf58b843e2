"""What every test may rely on: real recordings, a nightly switch, and property tests that repeat exactly.

Compiled kernels are cached in nanotick's ordinary cache directory, so a second run starts warm; set
``NANOTICK_CACHE_DIR`` to use another one. No property test has a deadline: its first example may compile.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parent.parent

# A commit must not fail on another commit's bad luck, hence derandomized; the nightly run searches anew each time.
settings.register_profile(
    "commit", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly", deadline=None, print_blob=True, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="also run the tests marked nightly, with more examples")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("nightly" if config.getoption("--nightly") else "commit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--nightly"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


def _find_shared_data() -> Path | None:
    named = os.environ.get("NANOTICK_SHARED_DATA")
    candidates = [Path(named)] if named else [above / "shared" / "data" for above in REPOSITORY.parents[:2]]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the directory of real recordings; tests that need it are skipped where it is absent."""
    found = _find_shared_data()
    if found is None:
        pytest.skip(
            "No recorded market data: set NANOTICK_SHARED_DATA to its directory, "
            "or put it at shared/data beside the repository."
        )
    return found

"""The repository's own check: what it refuses in locks, in text and between packages."""

import pytest

from tools.check_repo import check_length, check_lock, check_parts, check_text

LOCK = "numpy==2.4.6 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via nanotick\n"


def test_a_pinned_and_hashed_lock_passes():
    assert list(check_lock(LOCK, "core.lock")) == []
    assert list(check_lock("colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n", "core.lock")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--extra-index" + "-url file:///simple\n" + LOCK, "must name no host"),
        ("# from " + "https://example.test/simple\n" + LOCK, "must name no host"),
        ("--find-links ./wheels\n" + LOCK, "must name no host"),
        ("numpy @ file:///numpy.whl\n", "must name no host"),
        ("numpy==2.4.6\n", "has no hash"),
        ("numpy>=2.4.6 \\\n    --hash=sha256:00\n", "expected name==version"),
        (LOCK + "rich==15.0.0\n", "rich==15.0.0 has no hash"),
    ],
)
def test_a_lock_with_an_address_or_without_a_hash_is_refused(text, message):
    assert any(message in finding for finding in check_lock(text, "core.lock"))


@pytest.mark.parametrize(
    "path",
    [
        "/wo" + "rk/main",
        "see /ho" + "me/ann/data",
        "'/Us" + "ers/ann'",
        "https://py" + "pi.org/simple",
        "see shared/" + "docs/design.md",
        "done \u2705",
    ],
)
def test_text_that_names_a_machine_or_an_index_is_refused(path):
    (finding,) = check_text(f"first line\n{path}\n", "docs/x.md")
    assert finding.startswith("docs/x.md:2: ")


@pytest.mark.parametrize(
    "text", ["the work/rest ratio", "src/nanotick/work/x", "make PYTHON=/path/to/python3", "/usr/share"]
)
def test_ordinary_paths_are_left_alone(text):
    assert list(check_text(text, "docs/x.md")) == []


def test_a_module_past_five_hundred_lines_is_refused():
    assert list(check_length("x\n" * 500, "a.py")) == []
    assert len(list(check_length("x\n" * 501, "a.py"))) == 1


def test_a_part_may_import_another_parts_package_but_not_a_module_inside_it():
    assert list(check_parts("from nanotick.orders import ORDER", "exchange/a.py")) == []
    assert list(check_parts("from nanotick.exchange.queue import x", "exchange/a.py")) == []
    assert list(check_parts("from nanotick.orders.record import ORDER", "engine/a.py")) == []
    (finding,) = check_parts("from nanotick.orders.record import ORDER", "exchange/a.py")
    assert finding.startswith("exchange/a.py:1: imports nanotick.orders.record")
    (finding,) = check_parts("import nanotick.risk.limits", "orders/a.py")
    assert "nanotick.risk" in finding

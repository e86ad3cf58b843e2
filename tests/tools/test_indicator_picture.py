"""The picture of the indicators' page is the one that the indicators give."""

import xml.etree.ElementTree as Xml

import pytest

from tools import indicator_picture


def test_the_picture_is_current_small_and_well_formed() -> None:
    assert indicator_picture.current()
    text = indicator_picture.PICTURE.read_text("utf-8")
    assert len(text) < 40_000
    assert "nan" not in text
    charts = Xml.fromstring(text).findall("{http://www.w3.org/2000/svg}svg")
    assert len(charts) == len(indicator_picture.HEIGHTS)
    page = indicator_picture.PICTURE.parents[1] / "indicators.md"
    assert "](images/indicators.svg)" in page.read_text("utf-8")


def test_another_picture_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicator_picture, "WINDOW", 99)
    assert not indicator_picture.current()

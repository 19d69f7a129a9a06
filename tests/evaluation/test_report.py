"""The report page."""

import re
from html.parser import HTMLParser

import pytest

from dfer.evaluation.evaluate import evaluate_run
from dfer.evaluation.report import duration
from dfer.runs import RunFolder


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_is_self_contained_and_well_formed(finished: RunFolder) -> None:
    page = Page(finished.report.read_text())
    assert page.open == []
    assert len(page.links) >= 4
    assert all(link.startswith("data:") for link in page.links)


def test_says_what_was_done(finished: RunFolder) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"data:[^\"]*", "", finished.report.read_text()))
    for wanted in ("folder/baseline", "held out: 3 training clips", "A shown expression is not a felt emotion", "Seed"):
        assert wanted in text
    assert "drawn faces" not in text


def test_a_model_of_drawn_faces_says_so(own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["drawn"] = True
    own_run.write_manifest(manifest)
    evaluate_run(own_run)
    assert "Trained on drawn faces" in own_run.report.read_text()


def test_names_are_escaped(own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    manifest["command"] = "dfer train <script>alert(1)</script>"
    own_run.write_manifest(manifest)
    evaluate_run(own_run)
    assert "<script>" not in own_run.report.read_text()


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "3 s"), (75, "1 min 15 s"), (7300, "2 h 1 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text

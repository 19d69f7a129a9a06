"""The page of a video."""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dfer.errors import InputError
from dfer.inference.page import FACES, PEAKS, ROWS, STRETCHES, joined, main_label, page, shares, write_page
from dfer.inference.timeline import FaceTimeline, Moment, Timeline
from dfer.notices import AI_ACT, DRAWN, SHOWN_NOT_FELT

Maker = Callable[..., Timeline]
Face = Callable[..., FaceTimeline]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "source"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_is_self_contained_and_well_formed(timeline: Maker, face: Face) -> None:
    found = Page(page(timeline(face(1, 0.0, ["happy"] * 6 + ["unsure"] * 2), face(2, 1.0, ["sad"] * 4))))
    assert found.open == []
    kinds = [link.split(";")[0] for link in found.links]
    assert kinds == ["data:image/svg+xml"] * 2 + ["data:image/jpeg"] * 2
    assert not re.search(r"https?://|url\(|@import|<script", re.sub(r"data:[^\"]*", "", page(timeline())))


def test_says_what_must_be_known_first(timeline: Maker, face: Face) -> None:
    text = Page(page(timeline(face(1, 0.0, ["happy"] * 6), notes=(DRAWN, "The video is damaged: cut off.")))).text
    places = [text.index(words) for words in (DRAWN, "The video is damaged: cut off.", SHOWN_NOT_FELT, AI_ACT, "Faces")]
    assert places == sorted(places)


def test_the_chart_comes_before_a_list_that_may_be_long(timeline: Maker, face: Face) -> None:
    text = Page(page(timeline(*(face(number, 0.0, ["sad"] * 4) for number in range(1, 30))))).text
    assert text.index("Over time") < text.index("Face 1 ") < text.index("Peaks")


def test_a_line_per_face_with_its_shares(timeline: Maker, face: Face) -> None:
    told = timeline(face(1, 0.0, ["happy"] * 6 + ["unsure"] * 2), face(2, 2.0, ["too small"] * 2), empty=((4.0, 5.0),))
    text = Page(page(told, "film.csv")).text
    assert "Face 1 0:00.0 – 0:04.0 happy 75 % unsure 25 %" in text
    assert "Face 2 0:02.0 – 0:03.0 too small 100 %" in text
    assert "80 % of the time a face is seen: 0:04.0 of 0:05.0" in text
    assert "happy is shown longest: 60 % of the faces’ time" in text
    assert "Without a face 0:04.0 – 0:05.0" in text
    assert "Every moment with every probability is in film.csv" in text
    assert "window in seconds 2 " in text
    assert "size 224" in text


def test_no_face_is_no_guess(timeline: Maker) -> None:
    text = Page(page(timeline(empty=((0.0, 5.0),)))).text
    for words in ("No face was found, so nothing is said.", "0:00.0 – 0:05.0", "nothing is said: there is no face"):
        assert words in text
    assert "Over time" not in text
    assert "Peaks" not in text
    assert not re.search("happy|sad|angry", text)


def test_nothing_said_of_a_face_is_no_guess(timeline: Maker, face: Face) -> None:
    text = Page(page(timeline(face(1, 0.0, ["unsure"] * 10)))).text
    assert "nothing is said: the model was not sure enough, or not asked" in text
    assert "nothing: unsure 70 %" in text


def test_names_are_escaped(timeline: Maker, face: Face) -> None:
    nasty = '<script>alert("1")</script>.mp4'
    text = page(timeline(face(1, 0.0, ["happy"]), video=nasty, notes=(nasty,), model={"name": nasty}), nasty)
    assert "<script" not in text
    assert text.count(html.escape(nasty, quote=False).replace('"', "&#34;")) == 6


def test_ten_hours_and_a_thousand_faces_make_a_small_page(timeline: Maker, face: Face) -> None:
    switching = tuple(Moment(k / 2, k / 2 + 0.5, (0.9, *[0.1 / 6] * 6), ("happy", "sad")[k % 2]) for k in range(72_000))
    one = FaceTimeline(1, 0.0, 36_000.0, 1, switching)
    many = [face(k, 30.0 * k, ["happy", "sad", "angry"]) for k in range(2, 1001)]
    empty = tuple((30.0 * k + 2, 30.0 * k + 30) for k in range(1, 1000))
    text = page(timeline(one, *many, seconds=36_000.0, empty=empty))
    assert len(text) < 6_000_000
    words = Page(text).text
    assert f"The {FACES} faces that are seen longest; {1000 - FACES} more are left out here." in words
    assert f"the {PEAKS} surest, {999 * 3 - PEAKS} more are left out" in words
    assert f"The first {ROWS} of {72_000 + 999 * 3} lines." in words
    assert f"and {999 - STRETCHES} more" in words


def test_moments_that_say_the_same_are_joined(timeline: Maker, face: Face) -> None:
    told = timeline(face(1, 0.0, ["happy", "happy", "unsure", "happy"]), face(2, 0.5, ["too short"]))
    assert [(row["face"], row["start"], row["end"], row["said"], row["sure"]) for row in joined(told)] == [
        (1, 0.0, 1.0, "happy", "70 %"),
        (2, 0.5, 1.0, "nothing: too short", ""),
        (1, 1.0, 1.5, "nothing: unsure", "70 %"),
        (1, 1.5, 2.0, "happy", "70 %"),
    ]


def test_shares_count_seconds_not_moments(moment: Callable[..., Moment], timeline: Maker) -> None:
    moments = moment(0.0, 3.0, "sad"), moment(3.0, 3.5, "happy"), moment(3.5, 4.0, "happy")
    one = FaceTimeline(1, 0.0, 4.0, 9, moments)
    assert shares([one]) == {"sad": 0.75, "happy": 0.25}
    assert main_label(timeline(one)) == ("sad", 0.75)
    assert main_label(timeline()) is None


def test_window_of_the_whole_track(timeline: Maker) -> None:
    assert "window in seconds the whole face" in Page(page(timeline(model={"window": None}))).text


def test_written_whole_or_refused(tmp_path: Path, timeline: Maker) -> None:
    write_page(tmp_path / "new" / "a.html", timeline())
    assert (tmp_path / "new/a.html").read_text().startswith("<!doctype html>")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write"):
        write_page(tmp_path / "file" / "a.html", timeline())

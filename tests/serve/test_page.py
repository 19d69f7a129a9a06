"""The page as people use it, in a real browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serve_for_tests import Service, running

from dfer.notices import SHOWN_NOT_FELT
from dfer.video import write_video

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EXPECTED = ("status of 422", "status of 413", "status of 429", "ERR_CONNECTION_REFUSED")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("uploads"), max_megabytes=1, queue=0, deadline=60) as service:
        yield service


@pytest.fixture
def page(browser: Any, roomy: Service) -> Iterator[Any]:
    """The page, opened; whoever uses it without errors asks no other host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and hosts.add(request.url.split("/")[2]))
    page.goto(str(roomy.client.base_url))
    page.wait_for_selector("#notes .notice")
    yield page
    context.close()
    assert [text for text in wrong if not any(words in text for words in EXPECTED)] == []
    assert hosts == {roomy.client.base_url.netloc.decode()}


def order(folder: Path, text: str, name: str = "clip.mp4") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def choose(page: Any, path: Path) -> None:
    page.set_input_files("#file", str(path))


def shown(page: Any, selector: str = "#result") -> str:
    page.wait_for_selector(f"{selector}:not([hidden])", timeout=10_000)
    return str(page.inner_text(selector))


def test_a_video_is_chosen_and_its_result_shown(page: Any, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "a video", "my <b>film é.mp4"))
    text = shown(page)
    assert page.inner_text("#title") == "my <b>film é.mp4"
    assert "2 faces" in text
    assert SHOWN_NOT_FELT in text
    assert "too small" in page.text_content(".chart >> nth=1")
    assert page.inner_text("#notes").split("\n\n") == [
        "A note of the model.",
        "The video is damaged: cut off after 12.0 s.",
    ]
    assert "nothing is said" in page.inner_text("#legend")
    assert page.locator(".chart").count() == 2
    assert page.locator(".chart >> nth=0").locator("path.line").count() == 7
    assert not page.is_visible("#working")
    assert not page.is_visible("#problem")
    assert page.evaluate("document.activeElement.id") == "title"


def test_the_json_can_be_kept(page: Any, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "a video", "film.mp4"))
    shown(page)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "film.json"
    kept = json.loads(Path(download.value.path()).read_text())
    assert kept["video"] == "film.mp4"
    assert len(kept["faces"]) == 2


def test_the_same_video_can_be_chosen_again(page: Any, tmp_path: Path) -> None:
    film = order(tmp_path, "bad x")
    for text in ("bad x", "a video"):
        film.write_text(text)
        with page.expect_file_chooser() as chooser:
            page.click("#file")
        chooser.value.set_files(str(film))
        page.wait_for_selector("#problem:not([hidden])" if text == "bad x" else "#result:not([hidden])")


def test_a_dropped_video_is_taken(page: Any) -> None:
    page.evaluate_handle(
        """() => {
        const files = new DataTransfer();
        files.items.add(new File(["a video"], "dropped.mp4"));
        const drop = (kind) => new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
        document.getElementById("drop").dispatchEvent(drop("dragover"));
        document.getElementById("drop").dispatchEvent(drop("drop"));
    }"""
    )
    shown(page)
    assert page.inner_text("#title") == "dropped.mp4"


def test_progress_is_told_and_can_be_broken_off(page: Any, roomy: Service, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "sleep 20"))
    page.wait_for_selector("text=/Looking at the video: [1-9]/")
    assert "Looking at the video" in page.inner_text("[role=status]")
    assert float(page.get_attribute("#bar", "value")) > 0
    page.click("#cancel")
    assert shown(page, "#problem") == "Cancelled."
    assert not page.is_visible("#working")
    page.wait_for_timeout(600)
    assert roomy.kept() == []
    choose(page, order(tmp_path, "a video"))
    shown(page)
    assert not page.is_visible("#problem")


def test_errors_are_told_as_text(page: Any, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "bad x", "holiday.mp4"))
    assert shown(page, "#problem").startswith("holiday.mp4 is no video file that can be read;")
    assert page.get_attribute("#problem", "role") == "alert"
    assert not page.is_visible("#result")
    choose(page, order(tmp_path, "x" * 1_200_000, "long.mp4"))
    page.wait_for_selector("text=long.mp4 has 1.2 MB; the limit is 1 MB")


def test_an_error_leaves_nothing_of_the_video_before(page: Any, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "a video"))
    shown(page)
    choose(page, order(tmp_path, "bad x", "other.mp4"))
    shown(page, "#problem")
    assert not page.is_visible("#result")
    assert page.inner_text("#notes") == "A note of the model."


def test_a_busy_server_is_told(page: Any, roomy: Service, tmp_path: Path) -> None:
    desk = roomy.app.state.desk
    desk.taken += 1
    try:
        choose(page, order(tmp_path, "a video"))
        assert "which is the limit; try again in" in shown(page, "#problem")
    finally:
        desk.taken -= 1


def test_a_video_without_a_face_says_so(page: Any, tmp_path: Path) -> None:
    choose(page, order(tmp_path, "empty"))
    assert "No face was found, so nothing is said." in shown(page)
    assert page.locator(".chart").count() == 0
    assert page.inner_text("#now") == "No face at 0:00.0"


def test_all_of_it_works_with_the_keyboard_alone(page: Any, tmp_path: Path) -> None:
    film = order(tmp_path, "a video")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"
        page.keyboard.press("Enter")
    chooser.value.set_files(str(film))
    shown(page)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "slider":
            break
    before = page.get_attribute(".chart >> nth=0", "aria-valuetext")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute(".chart >> nth=0", "aria-valuenow") == "2.5"
    assert page.get_attribute(".chart >> nth=0", "aria-valuetext") not in (before, None)
    assert "at 0:02.5" in page.inner_text("#now")
    page.keyboard.press("End")
    assert page.get_attribute(".chart >> nth=0", "aria-valuenow") == "12.0"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").endswith("at 0:11.5")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("table tbody tr")
    assert page.locator("table tbody tr").count() == 24
    assert "nothing said: unsure" in page.inner_text("table")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "download":
            return
    pytest.fail("the download cannot be reached")


def test_the_timeline_and_the_video_go_together(page: Any, tmp_path: Path) -> None:
    frames = [np.full((64, 96, 3), 8 * number, np.uint8) for number in range(30)]
    write_video(tmp_path / "film.mp4", frames, fps=10)
    choose(page, tmp_path / "film.mp4")
    shown(page)
    page.wait_for_timeout(300)  # until the video is laid out
    chart = page.locator(".chart >> nth=0")
    chart.click(position={"x": 34 + (chart.bounding_box()["width"] - 42) * 0.1, "y": 60})
    assert page.get_attribute(".chart >> nth=0", "aria-valuenow") == "1.2"
    assert page.get_attribute(".chart >> nth=1", "aria-valuetext") == "0:01.2: not in the picture"
    if page.is_visible("#video"):  # this browser can play H.264
        assert abs(page.evaluate("document.getElementById('video').currentTime") - 1.2) < 0.05
    else:
        assert page.is_visible("#unplayable")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(page: Any, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    choose(page, order(tmp_path, "a video", "a_very_long_name_without_a_single_space_in_it_" * 3 + ".mp4"))
    shown(page)
    page.click("summary >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    texts = page.locator(".chart >> nth=0").locator("text.band")
    for number in range(texts.count()):
        box = texts.nth(number).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    drawn = page.locator(".chart >> nth=0").bounding_box()
    assert drawn["width"] > 0.85 * width if width == 360 else drawn["width"] > 800


def test_it_says_so_when_the_server_is_gone(browser: Any, tmp_path: Path) -> None:
    with running(tmp_path) as service:
        page = browser.new_page()
        page.goto(str(service.client.base_url))
        page.wait_for_selector("#notes .notice")
    choose(page, order(tmp_path, "a video"))
    assert "cannot be reached" in shown(page, "#problem")
    page.close()

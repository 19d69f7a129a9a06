"""The page of an audit."""

from html.parser import HTMLParser

import numpy as np

from dfer.evaluation.audit_page import verdict_counts, write_audit_page
from dfer.evaluation.suspicion import audit_run
from dfer.figures.style import class_colour
from dfer.runs import RunFolder


class Reader(HTMLParser):
    """Collect what a page refers to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.strips: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.strips += [(value or "").removeprefix("Frames of clip ") for name, value in attrs if name == "alt"]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(run: RunFolder) -> Reader:
    reader = Reader()
    reader.feed(run.audit_page.read_text())
    return reader


def test_the_page_shows_the_most_suspicious_and_the_hardest(own_parted: RunFolder) -> None:
    found = audit_run(own_parted)
    write_audit_page(own_parted, found.table, found.predictions, found.clips, top=3)
    page = read(own_parted)
    hard = found.table[found.table["verdict"] == "hard"]
    rest = found.table[found.table["verdict"] != "hard"]
    wanted = [*rest["clip_id"].head(3), *hard["clip_id"].head(3)]
    assert page.strips == wanted
    assert len(page.links) == len(wanted) == 3 + min(3, len(hard))
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    first = found.table.iloc[0]
    assert f"agreement {first['agreement']:.2f}, loss {first['loss']:.2f}" in page.text
    assert found.predictions.clip_logits is not None
    parts = found.predictions.clip_logits[found.table.index[0]].argmax(1)
    short = "".join({"happy": "Hap", "sad": "Sad", "angry": "Ang"}[found.predictions.labels[k]] for k in parts)
    assert f"its parts in time:{short}" in page.text.replace("\n", "")
    html = own_parted.audit_page.read_text()
    assert all(f"background: {class_colour(name)}" in html for name in ("happy", "sad", "angry"))
    assert "in training" not in html.lower()


def test_without_a_hard_clip_the_page_says_so(own_parted: RunFolder) -> None:
    found = audit_run(own_parted, fractions=(0.0, 0.1))
    write_audit_page(own_parted, found.table, found.predictions, found.clips, top=2)
    assert "None: the parts of every clip agree, or none may be hard." in read(own_parted).text


def test_what_was_noted_in_training_is_told(own_parted: RunFolder) -> None:
    ids = audit_run(own_parted).table["clip_id"].tolist()
    record = f"clip_id,label,agreement,loss,verdict\n{ids[0]},sad,0.75,1.5,hard\n"
    own_parted.path.joinpath("agreement.csv").write_text(record)
    found = audit_run(own_parted)
    write_audit_page(own_parted, found.table, found.predictions, found.clips, top=2)
    text = read(own_parted).text
    assert text.count("in training: hard, agreement 0.75, loss 1.50") == 1


def test_names_from_outside_are_escaped(own_parted: RunFolder) -> None:
    found = audit_run(own_parted)
    table = found.table.copy()
    table.loc[table.index[0], "clip_id"] = "<script>alert(1)</script>"
    write_audit_page(own_parted, table, found.predictions, found.clips, top=1)
    html = own_parted.audit_page.read_text()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_counts_add_up(own_parted: RunFolder) -> None:
    found = audit_run(own_parted)
    *rows, whole = verdict_counts(found.table, found.predictions.labels)
    counts = np.array([row[1:] for row in rows])
    np.testing.assert_array_equal(counts.sum(0), whole[1:])
    np.testing.assert_array_equal(counts[:, 1:].sum(1), counts[:, 0])
    assert whole[1] == 30

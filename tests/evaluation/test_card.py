"""The model card: every number in it is the run's."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from dfer import notices
from dfer.errors import InputError
from dfer.evaluation.card import plain, write_card
from dfer.evaluation.evaluate import evaluate, evaluate_run
from dfer.models import checkpoint
from dfer.runs import RunFolder

HEADINGS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


def text_of(run: RunFolder) -> str:
    return run.card.read_text()


def table(text: str, heading: str) -> dict[str, list[str]]:
    """Read the rows of the table that begins with a heading, by their first cell."""
    lines = text[text.index(f"\n| {heading} |") + 1 :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def change(path: Path, **values: Any) -> dict[str, Any]:
    content: dict[str, Any] = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps(content))
    return content


def test_lies_beside_the_report_with_the_headings_of_the_paper(finished: RunFolder) -> None:
    text = text_of(finished)
    assert finished.card.name == "model_card.md"
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert text.startswith("# Model card: run\n")
    assert text.endswith("```\n")
    assert "{{" not in text
    assert "None" not in text
    assert "nan" not in text


def test_every_figure_is_the_run_s(finished: RunFolder) -> None:
    text, found = text_of(finished), json.loads(finished.evaluation.read_text())
    figures = table(text, "figure")
    for title, name in (("WAR", "war"), ("UAR", "uar"), ("ECE", "ece"), ("NLL", "nll"), ("Brier", "brier")):
        (row,) = [cells for first, cells in figures.items() if first.startswith(title)]
        shown = per_cent if name in ("war", "uar") else "{:.3f}".format
        low, high = found["intervals"][name]
        assert row == [
            shown(found["metrics"][name]),
            f"{shown(low)} to {shown(high)}",
            shown(found["calibrated"][name]),
        ]
    recalls = table(text, "class")
    assert list(recalls) == found["labels"]
    for name, share, line in zip(found["labels"], found["per_class"], found["confusion"]):
        assert recalls[name][:2] == [str(sum(line)), per_cent(share)]
    assert f"{found['clips']} test clips of `FolderClips`" in text
    assert f"temperature {found['temperature']:.3g}" in text


def test_details_data_and_the_way_to_reproduce_are_the_run_s(finished: RunFolder) -> None:
    text, manifest = " ".join(text_of(finished).split()), finished.read_manifest()
    model = checkpoint.load(finished.checkpoint()).model
    parameters = sum(one.numel() for one in model.parameters())
    for wanted in (
        f"`dfer.models.Recognizer` on `dfer.backbones.r3d_18`, {parameters:,} parameters",
        "4 frames of 32×32 pixels",
        f"{manifest['data']['train_clips']} clips of `FolderClips`, read from files; ",
        f"read from files; {manifest['data']['held_out_clips']} more were held out",
        f"the weights are of epoch {manifest['best']['war']['epoch']}, the best by WAR on the held-out clips",
        "the test clips were read once",
        manifest["command"],
        *(f"{name} {version}" for name, version in manifest["versions"].items()),
        *(f"{name} {count}" for name, count in manifest["data"]["class_counts"].items()),
    ):
        assert wanted in text
    if manifest["commit"]:
        assert manifest["commit"] in text
    assert shlex.split(manifest["command"])[:3] == ["dfer", "train", "folder/baseline"]


def test_says_what_it_is_not_for(finished: RunFolder) -> None:
    text = text_of(finished)
    assert text.count(notices.AI_ACT) == 2
    assert notices.SHOWN_NOT_FELT in text
    for excluded in ("any decision about a person", "the workplace and schools", "diagnosis", "what someone feels"):
        assert excluded in text[text.index("Not for:") : text.index("## Factors")]
    assert notices.DRAWN not in text
    assert "real faces: it was trained on drawn ones" not in text
    assert "the model learned their habits" in text
    assert "in videos of people" in text


def test_a_model_of_drawn_faces_says_so_first(own_drawn: RunFolder) -> None:
    evaluate_run(own_drawn)
    text = text_of(own_drawn)
    assert notices.DRAWN in text[: text.index("## Model details")]
    assert "real faces: it was trained on drawn ones" in text
    assert "Its labels are what was drawn." in text
    assert "in videos of people" not in text
    assert "clips of `SyntheticFaces`, drawn by the computer" in text


def test_the_paper_s_protocol_is_called_optimistic(own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    best = {"war": {"epoch": 2, "value": 0.5}, "uar": {"epoch": 7, "value": 0.5}}
    data = {**manifest["data"], "held_out_clips": 0, "held_out_rows": None, "fold": 3}
    own_run.write_manifest({**manifest, "protocol": "paper", "best": best, "data": data})
    change(own_run.evaluation, protocol="paper", notes=["no temperature: <b>none</b>"])
    write_card(own_run)
    text = text_of(own_run)
    assert "the figures are optimistic" in text
    assert "UAR alone is of epoch 7, its best" in text
    assert "expect less on new ones" in text
    assert "`FolderClips`, fold 3" in text
    assert "held out" not in text.replace("Held out", "held out")
    assert r"\<b\>none" in text


def test_limits_are_what_the_numbers_show(own_run: RunFolder) -> None:
    change(
        own_run.evaluation,
        labels=["happy", "sad", "angry", "fear"],
        confusion=[[30, 10, 0, 0], [24, 36, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]],
        per_class=[0.75, 0.6, 1 / 3, None],
        per_class_intervals=[[0.6, 0.9], [0.5, 0.7], [0, 1], None],
        clips=103,
    )
    manifest = own_run.read_manifest()
    manifest["data"]["class_counts"] = {"happy": 60, "sad": 11}
    own_run.write_manifest(manifest)
    write_card(own_run)
    limits = text_of(own_run).partition("## Caveats")[2]
    for wanted in (
        "Weakest class: angry, recall 33.3 % of 3 clips.",
        "Strongest confusion: 40.0 % of the clips of sad are taken for happy.",  # angry has too few to say
        "too few for a recall to be trusted: angry (3).",
        "Never measured, for want of a test clip: fear.",
        "Unequal training data: 11 clips of sad, 60 of happy.",
    ):
        assert wanted in limits
    assert table(text_of(own_run), "class")["fear"][:3] == ["0", "no clip", ""]
    assert table(text_of(own_run), "class")["sad"][-1] == "happy (24)"


def test_damaged_clips_are_told_where_they_were_measured(own_run: RunFolder) -> None:
    assert "On damaged test clips" not in text_of(own_run)
    evaluate([own_run.path], corrupt=["gaussian_noise"], workers=0)
    kept = json.loads((own_run.path / "robustness.json").read_text())
    rows = table(text_of(own_run), "test clips")
    for name, of in kept.items():
        shown = [per_cent(of["war"]), per_cent(of["uar"]), f"{of['ece']:.3f}"]
        assert rows[name.replace("_", " ")] == shown
    change(own_run.path / "robustness.json", clean={**kept["clean"], "war": kept["clean"]["war"] + 0.1})
    write_card(own_run)
    assert "On damaged test clips" not in text_of(own_run)  # of other weights


def test_names_do_no_harm_to_the_page(own_run: RunFolder) -> None:
    found = json.loads(own_run.evaluation.read_text())
    change(own_run.evaluation, labels=["a|b", "<script>", "*c*\n# d", *found["labels"][3:]])
    write_card(own_run)
    rows = table(text_of(own_run), "class")
    assert list(rows)[:3] == [r"a\|b", r"\<script\>", r"\*c\* \# d"]
    assert plain("x\ny") == "x y"


def test_how_faces_were_found_is_told(own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    manifest["data"]["faces"] = {"detector": "blaze_face", "geometry": {}}
    own_run.write_manifest(manifest)
    write_card(own_run)
    assert r"faces were found by blaze\_face and cut out" in " ".join(text_of(own_run).split())


def test_a_run_without_figures_gets_no_card(own_run: RunFolder, tmp_path: Path) -> None:
    own_run.card.unlink()
    own_run.evaluation.write_text("[]")
    with pytest.raises(InputError, match=r"evaluation.json holds no figures; run `dfer evaluate"):
        write_card(own_run)
    own_run.evaluation.write_text("{}")
    with pytest.raises(InputError, match=r"evaluation.json is damaged \(KeyError"):
        write_card(own_run)
    own_run.evaluation.unlink()
    with pytest.raises(InputError, match=r"is not evaluated; run `dfer evaluate .*run`"):
        write_card(own_run)
    with pytest.raises(InputError, match="is no run folder"):
        write_card(RunFolder(tmp_path / "nowhere"))
    assert not own_run.card.exists()

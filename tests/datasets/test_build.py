import json
from pathlib import Path
from typing import Any

import pytest

from dfer.datasets import DATASETS, DFEW, CSVClips, FERV39k, FolderClips, build
from dfer.datasets.build import full_name
from dfer.errors import InputError
from dfer.transforms.presets import EvalTransform


def test_every_disk_data_set_comes_back_from_its_description(
    trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trees.root.parent)  # a relative root must hold from elsewhere too
    exclude = tmp_path / "x.txt"
    exclude.write_text("a\n")
    made = [
        DFEW(trees.dfew().relative_to(tmp_path), "test", 3, seed=4),
        FERV39k(trees.ferv39k(), "test", exclude=exclude),
        FolderClips(trees.folder(), "test", test_fraction=0.4),
        CSVClips(trees.csv("clip,label,split\na,sad,test\nb,sad,test\n"), "test", exclude=exclude),
    ]
    monkeypatch.chdir("/")
    for data in made:
        again = build(json.loads(json.dumps(data.description)), "test", EvalTransform(4, 32))
        assert type(again) is type(data)
        assert again.clip_ids == data.clip_ids
        assert again.seed == data.seed
        assert again.description == data.description
        assert again[0].clip.shape == (4, 3, 32, 32)


def test_names_and_the_nearest_ones() -> None:
    assert {full_name(name) for name in DATASETS} == set(DATASETS)
    assert [full_name(name) for name in ("FERV39K", "csv", "folderclips")] == ["FERV39k", "CSVClips", "FolderClips"]
    with pytest.raises(InputError, match="no data set 'DFWE'; did you mean DFEW"):
        full_name("DFWE")
    with pytest.raises(InputError, match="no data set 'zzz'; there are DFEW, FERV39k"):
        full_name("zzz")


def test_wrong_descriptions(trees: Any) -> None:
    with pytest.raises(InputError, match=r"cannot make DFEW of .*'colour'"):
        build({"class": "DFEW", "args": {"root": ".", "colour": 1}}, "train")
    with pytest.raises(InputError, match="no data set ''"):
        build({}, "train")

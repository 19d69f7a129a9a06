from pathlib import Path

from dfer.datasets.synthetic.mark import MARK, is_drawn, mark_drawn


def test_a_marked_folder_and_what_lies_in_it_are_drawn(tmp_path: Path) -> None:
    root = tmp_path / "drawn"
    (root / "videos").mkdir(parents=True)
    (root / "clips.csv").touch()
    assert not is_drawn(root)
    mark_drawn(root, preset="wild", seed=3)
    assert is_drawn(root)
    assert is_drawn(root / "clips.csv")
    assert is_drawn(root / "videos")
    assert not is_drawn(tmp_path)
    assert '"seed": 3' in (root / MARK).read_text()

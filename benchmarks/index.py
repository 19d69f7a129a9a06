"""How long a DFEW tree of full size takes to index (bound: 30 s, warm) and to open again (bound: 2 s).

Run: python benchmarks/index.py [FOLDER]   (a temporary tree of 900,000 empty files is made there and removed)
"""

import sys
import tempfile
import time
from pathlib import Path

from dfer.datasets import DFEW
from dfer.datasets.dfew import MEDIA, open_index, set_path

CLIPS, FRAMES = 11_697, 900_000


def make_tree(root: Path) -> None:
    """Spread empty frames over clip folders named as DFEW's are, and annotate four fifths of them."""
    lines = [f"{clip},{clip % 7 + 1}" for clip in range(1, CLIPS + 1) if clip % 5]
    set_path(root, "train", 1).parent.mkdir(parents=True)
    set_path(root, "train", 1).write_text("video_name,label\n" + "\n".join(lines))
    for clip in range(CLIPS):
        folder = root / MEDIA["frames"] / f"{clip + 1:05d}"
        folder.mkdir(parents=True)
        count = FRAMES * (clip + 1) // CLIPS - FRAMES * clip // CLIPS
        for frame in range(1, count + 1):
            (folder / f"{clip + 1:05d}_{frame:05d}.jpg").touch()


def main() -> None:
    """Make the tree, index it twice (the first time cold or warm, as it happens), open it, remove it."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        root = Path(folder)
        start = time.perf_counter()
        make_tree(root)
        print(f"made {CLIPS:,} folders, {FRAMES:,} files in {time.perf_counter() - start:.0f} s", flush=True)
        for turn in ("first", "warm"):
            for old in (root / ".dfer").glob("*"):
                old.unlink()
            start = time.perf_counter()
            index = open_index(root, "frames")
            assert int(index.counts.sum()) == FRAMES
            print(f"indexed ({turn}) in {time.perf_counter() - start:.2f} s (bound 30)", flush=True)
        start = time.perf_counter()
        data = DFEW(root, "train")
        assert len(data) == CLIPS - CLIPS // 5
        print(f"opened as DFEW(root, 'train') in {time.perf_counter() - start:.3f} s (bound 2)", flush=True)


if __name__ == "__main__":
    main()

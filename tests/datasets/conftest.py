"""Small trees in the exact layouts of the data sets; the grey value of a frame tells its number."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from dfer.labels import BASIC, EXTENDED
from dfer.video.encode import write_video

GREY_STEP = 8


class Trees:
    """Writes data sets below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def picture(self, number: int, size: int = 16) -> np.ndarray:
        """A grey picture whose value tells its number."""
        return np.full((size, size, 3), number * GREY_STEP, np.uint8)

    def clip(self, folder: Path, names: Sequence[str]) -> Path:
        """Frames of these names; the n-th one, from 1, shows n; a comment in it makes its bytes the clip's own."""
        folder.mkdir(parents=True, exist_ok=True)
        comment = str(folder.relative_to(self.root)).encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        for number, name in enumerate(names, 1):
            data = simplejpeg.encode_jpeg(self.picture(number), quality=95)
            (folder / name).write_bytes(data[:2] + segment + data[2:])
        return folder

    def video(self, path: Path, frames: int) -> Path:
        write_video(path, [self.picture(number, 32) for number in range(1, frames + 1)])
        return path

    def dfew(self, clips: int = 70, frames: int = 3) -> Path:
        """Label of clip i: i % 7 + 1; folds by DFEW's rule."""
        root = self.root / "DFEW"
        label_of = {i: i % 7 + 1 for i in range(1, clips + 1)}
        fold_of: dict[int, int] = {}
        for label in range(1, 8):
            ids = [i for i in label_of if label_of[i] == label]
            for fold, block in enumerate(np.array_split(ids, 5), 1):
                fold_of |= {int(i): fold for i in block}
        for fold in range(1, 6):
            for split in ("train", "test"):
                chosen = [i for i in label_of if (fold_of[i] == fold) == (split == "test")]
                path = root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("video_name,label\n" + "".join(f"{i},{label_of[i]}\n" for i in chosen))
        for i in label_of:
            names = [f"{i:05d}_{n:05d}.jpg" for n in range(1, frames + 1)]
            self.clip(root / "Clip/clip_224x224" / f"{i:05d}", names)
        return root

    def ferv39k(self, setups: str = "4_setups", clips: str = "2_ClipsforFaceCrop") -> Path:
        """Per class three training clips and one test clip, in the scene Action."""
        root = self.root / "FERV39k"
        names = {"angry": "Angry", "sad": "Sad", "happy": "Happy", "fear": "Fear"}
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for k, label in enumerate(BASIC):
            for n in range(4):
                clip_id = f"Action/{names.get(label, label.title())}/{100 * k + n:04d}"
                self.clip(root / clips / clip_id, [f"{i:02d}.jpg" for i in range(1, 4)])
                lines["test" if n == 3 else "train"].append(f"{clip_id} {clip_id.split('/')[1]}\n")
        for split in lines:
            path = root / setups / "All_scenes" / f"{split}_All.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines[split]))
        return root

    def folder(self, splits: Sequence[str] = (), clips: int = 5) -> Path:
        root = self.root / "folder"
        for split in splits or ("",):
            for label in ("Happiness", "anger"):
                for n in range(clips):
                    self.clip(root / split / label / f"clip {n}", ["1.jpg", "2.jpg"])
        return root

    def csv(self, text: str, clips: Sequence[str] = ("a", "b", "c")) -> Path:
        root = self.root / "csv"
        for clip in clips:
            self.clip(root / clip, ["1.jpg", "2.jpg"])
        path = root / "clips.csv"
        path.write_bytes(text.encode())
        return path

    def videos(self, paths: Iterable[Path], frames: int = 3) -> None:
        """The same short video at all of these places, the bytes of each its own."""
        made = self.video(self.root / "one.mp4", frames).read_bytes()
        (self.root / "one.mp4").unlink()
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            name = str(path.relative_to(self.root)).encode()
            path.write_bytes(made + (len(name) + 8).to_bytes(4, "big") + b"free" + name)

    def ravdess(self, actors: Iterable[int] = range(1, 25), folder: str = "Actor_{:02d}", start: str = "02-01") -> Path:
        """Of each actor one clip of each of the eight emotions."""
        root = self.root / "RAVDESS"
        names = [(a, f"{start}-{e:02d}-01-01-01-{a:02d}.mp4") for a in actors for e in range(1, 9)]
        self.videos(root / folder.format(actor) / name for actor, name in names)
        return root

    def crema_d(self, folder: str = "VideoFlash", suffix: str = ".flv") -> Path:
        """Of every fourth of the 91 actors one clip of each emotion; and the videos that are known to be bad."""
        root = self.root / "CREMA-D"
        names = [f"{a}_DFA_{e}_XX" for a in range(1001, 1092, 4) for e in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")]
        names += ["1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"]
        self.videos(root / folder / f"{name}{suffix}" for name in names)
        return root

    def ckplus(self, subjects: int = 21, images: str = "cohn-kanade-images", labels: str = "Emotion") -> Path:
        """Of subject i the sequences 001, with the label i % 7 + 1, and 002, without one."""
        root = self.root / "CK+"
        for i in range(subjects):
            for sequence in ("001", "002"):
                stem = f"S{10 + i:03d}_{sequence}"
                place = stem.replace("_", "/")
                self.clip(root / images / place, [f"{stem}_{n:08d}.png" for n in range(1, 5)])
                (root / labels / place).mkdir(parents=True)
                if sequence == "001":
                    text = f"   {i % 7 + 1:.7e}\n"
                    (root / labels / place / f"{stem}_00000004_emotion.txt").write_text(text)
        return root

    def mafw(self, clips: int = 55, frames: int = 3, annotation: str = "Train & Test Set", data: str = "data") -> Path:
        """Clip i shows class i % 11 and is tested in fold i // 11 % 5 + 1."""
        root = self.root / "MAFW"
        names = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
        line = {i: f"{i:05d}.mp4 {names.get(EXTENDED[i % 11], EXTENDED[i % 11])}\n" for i in range(1, clips + 1)}
        for fold in range(1, 6):
            for split in ("train", "test"):
                chosen = [i for i in line if (i // 11 % 5 + 1 == fold) == (split == "test")]
                path = root / annotation / "single/no_caption" / f"set_{fold}" / f"{split}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(line[i] for i in chosen))
        for i in line:
            self.clip(root / data / "frames" / f"{i:05d}", [f"{n}.png" for n in range(1, frames + 1)])
        return root


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trees:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Trees(tmp_path / "data")

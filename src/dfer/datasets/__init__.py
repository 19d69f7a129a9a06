"""The data sets of the field: clips on disk in their exact layouts, and drawn ones."""

from dfer.datasets.base import ClipDataset
from dfer.datasets.build import DATASETS, build
from dfer.datasets.ckplus import CKPlus
from dfer.datasets.crema_d import CREMAD
from dfer.datasets.csv_clips import CSVClips
from dfer.datasets.dfew import DFEW
from dfer.datasets.ferv39k import FERV39k
from dfer.datasets.folder import FolderClips
from dfer.datasets.mafw import MAFW
from dfer.datasets.ravdess import RAVDESS
from dfer.datasets.synthetic import SyntheticFaces

__all__ = [
    "CREMAD",
    "DATASETS",
    "DFEW",
    "MAFW",
    "RAVDESS",
    "CKPlus",
    "CSVClips",
    "ClipDataset",
    "FERV39k",
    "FolderClips",
    "SyntheticFaces",
    "build",
]

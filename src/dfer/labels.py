"""Expression sets, their order and colours, and maps between data sets by name."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

BASIC: Final = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
"""The seven basic expressions in the order of DFEW's ids 1..7."""

EXTENDED: Final = (*BASIC, "contempt", "anxiety", "helplessness", "disappointment")
"""MAFW's eleven expressions: the seven, then four compound ones."""

SHORT: Final = MappingProxyType(
    {
        "happy": "Hap",
        "sad": "Sad",
        "neutral": "Neu",
        "angry": "Ang",
        "surprise": "Sur",
        "disgust": "Dis",
        "fear": "Fea",
        "contempt": "Con",
        "anxiety": "Anx",
        "helplessness": "Hel",
        "disappointment": "Dpt",
        "calm": "Clm",
    }
)

COLOURS: Final = MappingProxyType(
    {
        "happy": "#e69f00",
        "sad": "#0072b2",
        "neutral": "#7f7f7f",
        "angry": "#d55e00",
        "surprise": "#56b4e9",
        "disgust": "#009e73",
        "fear": "#cc79a7",
        "contempt": "#8c6d31",
        "anxiety": "#5e3c99",
        "helplessness": "#b2abd2",
        "disappointment": "#1b1b1b",
        "calm": "#3f2fd6",
    }
)
"""One colour per expression (Okabe-Ito first), the same in every figure."""

_SYNONYMS: Final = MappingProxyType(
    {
        "happiness": "happy",
        "sadness": "sad",
        "anger": "angry",
        "surprised": "surprise",
        "disgusted": "disgust",
        "fearful": "fear",
        "contemptuous": "contempt",
        "anxious": "anxiety",
        "helpless": "helplessness",
        "disappointed": "disappointment",
        "hap": "happy",
        "neu": "neutral",
        "ang": "angry",
        "sur": "surprise",
        "dis": "disgust",
        "fea": "fear",
    }
)


def canonical(name: str) -> str:
    """Spell an expression as this package does, whatever the data set calls it.

    Example:
        >>> canonical("Anger"), canonical("happiness"), canonical("bored")
        ('angry', 'happy', 'bored')
    """
    lowered = name.strip().lower()
    return _SYNONYMS.get(lowered, lowered)


def label_map(source: Sequence[str], target: Sequence[str]) -> list[int | None]:
    """Give for each class of ``source`` its index in ``target``, None where ``target`` has no such class.

    Example:
        >>> label_map(["anger", "contempt"], BASIC)
        [3, None]
    """
    index = {canonical(name): i for i, name in enumerate(target)}
    return [index.get(canonical(name)) for name in source]

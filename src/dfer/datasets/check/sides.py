"""On which sides of which trials the clips of a data set stand."""

from collections.abc import Iterable, Sequence

from dfer.datasets.check.findings import is_test
from dfer.datasets.index import natural_key
from dfer.datasets.survey import Part


class Sides:
    """The sets of each clip, by its entry in the index."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.ids: dict[int, str] = {}
        self.labels: dict[int, str] = {}
        self._sets: dict[int, dict[str, str]] = {}  # entry -> trial -> set
        self._tested: set[int] = set()
        for part in parts:
            for clip, entry in zip(part.listing.clips, part.entries):
                if entry >= 0:
                    self.ids.setdefault(entry, clip.clip_id)
                    self.labels.setdefault(entry, clip.label)
                    self._sets.setdefault(entry, {}).setdefault(part.trial, part.name)
                    if is_test(part):
                        self._tested.add(entry)

    def opposed(self, one: int, other: int) -> list[tuple[str, str]]:
        """Give the sets of two clips in every trial where they stand on different sides."""
        theirs = self._sets[other]
        return [
            (name, theirs[trial])
            for trial, name in self._sets[one].items()
            if trial in theirs and theirs[trial] != name
        ]

    def in_order(self, entries: Iterable[int]) -> list[int]:
        """Order clips by how much they are worth keeping: those of test sets first, then by name."""
        return sorted(entries, key=lambda entry: (entry not in self._tested, natural_key(self.ids[entry])))

    def in_pair(self, one: int, other: int) -> tuple[int, int]:
        """Order two clips in the same way."""
        first, second = self.in_order((one, other))
        return first, second

    def against(self, one: int, other: int) -> str:
        """Say on which sides two opposed clips are, and whether their labels differ."""
        pairs = self.opposed(one, other)
        here, there = pairs[0]
        more = f" (and so in {len(pairs) - 1} more)" if len(pairs) > 1 else ""
        return f"which is in {there}, this in {here}{more}{self.disagreement(one, other)}"

    def disagreement(self, one: int, other: int) -> str:
        """Say that two clips have different labels; empty where they have not."""
        labels = self.labels[one], self.labels[other]
        return f"; labels differ: {labels[0]}, {labels[1]}" if labels[0] != labels[1] else ""

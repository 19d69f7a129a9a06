"""Parameters and multiply-adds of RDFER's Table VI: five backbones, alone and in M3DFEL's bag of four, as Markdown.

python benchmarks/table_vi_cost.py
"""

from collections.abc import Iterable
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.video.resnet import Conv3DNoTemporal, Conv3DSimple

from dfer.backbones import BACKBONES
from dfer.backbones.resnet3d import Conv3DTrimmed
from dfer.models import M3DFEL, Recognizer, cost

PUBLISHED = {  # our name: its, then millions of parameters and GMAC alone, and the same in the bag
    "resnet18_lstm": ("CNN-LSTM", 22.2, 7.97, 34.0, 8.02),
    "mc3_18": ("MC3-18", 11.5, 1.85, 23.3, 1.89),
    "r2plus1d_18": ("R(2+1)D-18", 31.3, 40.77, 43.1, 42.91),
    "r3d_18": ("R3D-18", 33.2, 1.59, 45.0, 1.65),
    "former_dfer": ("Former-DFER", 18.0, 8.31, 29.9, 8.37),
}

BEFORE = """## RDFER, Table VI: what each backbone costs, alone and in the bag

```bash
python benchmarks/table_vi_cost.py
```

| backbone | bag | parameters | published | GMAC | every tap | as theirs | published |
|---|---|---:|---:|---:|---:|---:|---:|"""
AFTER = """
Parameters in millions; GMAC, 1e9 multiply-adds, of one clip of 16x112x112; seven classes; the bag is four instances of
four frames. *Every tap*: with the taps in time that see nothing but padding, which our `Conv3DTrimmed` leaves out. *As
theirs*: every tap, nothing for torchvision's `Conv3DSimple` and `Conv3DNoTemporal`, and four for each number that batch
norm normalises; the paper does not say how it counted. The bag's parameters: 10.5 million are the BiLSTM, as in the
paper, 3.1 the attention, of which the paper gives no width. Published: RDFER, Table VI."""


@dataclass(frozen=True)
class Row:
    """What one model costs, beside what the paper prints; parameters in millions, GMAC in 1e9 multiply-adds."""

    name: str
    bag: bool
    parameters: float
    published_parameters: float
    gmac: float
    every_tap: float
    as_theirs: float
    published_gmac: float


def rows(backbones: Iterable[str]) -> list[Row]:
    """Count each backbone alone and in the bag."""
    found = []
    for backbone in backbones:
        name, *published = PUBLISHED[backbone]
        for bag in (False, True):
            with torch.device("meta"):  # counts, and computes nothing
                network = BACKBONES[backbone]()
                model = M3DFEL(backbone=network) if bag else Recognizer(network)
            true = cost(model)
            with patch.object(Conv3DTrimmed, "forward", nn.Conv3d.forward):
                every_tap, as_theirs = counts(model)
            parameters, gmac = published[2:] if bag else published[:2]
            found.append(Row(name, bag, true.parameters / 1e6, parameters, true.gmac, every_tap, as_theirs, gmac))
    return found


def counts(model: M3DFEL | Recognizer) -> tuple[float, float]:
    """Give the GMAC of one clip: true, and counted as the paper seems to have."""
    spec, normalised = model.input_spec, []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        normalised.append(inputs[0].numel())

    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.register_forward_hook(note)
    clip = torch.zeros(1, 3, spec.frames, spec.size, spec.size, dtype=torch.uint8, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(clip)
    of, total = counter.get_flop_counts(), counter.get_total_flops() / 2
    layers = [name for name, layer in model.named_modules() if isinstance(layer, Conv3DSimple | Conv3DNoTemporal)]
    unseen = sum(sum(of[f"{type(model).__name__}.{name}"].values()) for name in layers) / 2
    return total / 1e9, (total - unseen + 4 * sum(normalised)) / 1e9


def main() -> None:
    """Print the table."""
    print(BEFORE)
    for row in rows(PUBLISHED):
        parameters = f"{row.parameters:.2f} | {row.published_parameters:.1f}"
        gmac = f"{row.gmac:.2f} | {row.every_tap:.2f} | {row.as_theirs:.2f} | {row.published_gmac:.2f}"
        print(f"| {row.name} | {'four' if row.bag else '–'} | {parameters} | {gmac} |")
    print(AFTER)


if __name__ == "__main__":
    main()

"""What a model makes of its test clips, in two dimensions."""

import numpy as np
from numpy.typing import NDArray

from dfer.errors import InputError

FEWEST = 5


def project(embedding: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Lay embeddings out in the plane with t-SNE, so that neighbours stay neighbours.

    Paper: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE". The perplexity is 30, or a third of the other
    clips where there are fewer than 91; it starts from the two principal components. Distances between groups and the
    groups' sizes mean nothing.

    Shape:
        ``(N, D)`` -> ``(N, 2)``.

    Raises:
        InputError: fewer than five clips.

    Example:
        >>> groups = np.repeat(np.eye(3), 10, axis=0) + np.random.default_rng(0).normal(0, 0.01, (30, 3))
        >>> project(groups).shape
        (30, 2)
    """
    if len(embedding) < FEWEST:
        raise InputError(f"{len(embedding)} clips are too few for an embedding's picture; it takes {FEWEST}")
    from sklearn.manifold import TSNE  # it takes a second to import

    perplexity = min(30.0, (len(embedding) - 1) / 3)
    start = "pca" if embedding.shape[1] > 1 else "random"
    found = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(embedding.astype(np.float64))
    return np.asarray(found, np.float32)

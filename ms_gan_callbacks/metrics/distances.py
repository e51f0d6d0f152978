"""Pairwise distances in blocks of rows, which limits memory use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_CELLS = 1 << 23  # numbers per block: 64 MB in double precision


def split_rows(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of the rows of a (rows, columns) matrix, in blocks of 64 MB or one row."""
    size = max(1, _CELLS // max(columns, 1))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def squared_distances(a: NDArray[Any], b: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield blocks (rows, d) with d[i, j] the squared Euclidean distance from ``a[rows][i]`` to ``b[j]``.

    The vectors, (N, D) and (M, D), are of one floating type, which is also that of the distances.
    """
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2 is a matrix product; centring keeps it accurate.
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    squares_a, squares_b = (np.einsum("nd,nd->n", x, x) for x in (a, b))
    for rows in split_rows(len(a), len(b)):
        block = a[rows] @ b.T
        block *= -2
        block += squares_a[rows, np.newaxis]
        block += squares_b
        yield rows, np.maximum(block, 0, out=block)


def measure_nearest(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the distance of each vector of ``a`` to the nearest of ``b``, (N,)."""
    distances = np.empty(len(a), a.dtype)
    for rows, block in squared_distances(a, b):
        distances[rows] = block.min(axis=1)
    roots: NDArray[Any] = np.sqrt(distances)
    return roots


def measure_radii(points: Doubles, k: int) -> Doubles:
    """Return the squared distance of each vector to its k-th nearest neighbour, (N,); N must exceed k."""
    radii = np.empty(len(points))
    for rows, block in squared_distances(points, points):
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf  # exclude the vector itself
        radii[rows] = np.partition(block, k - 1, axis=1)[:, k - 1]
    return radii

"""The least a step of the MLP GAN can cost: its matrix products in their fastest layouts, one flat Adam pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from time import perf_counter

import torch

from benchmarks import THREADS
from benchmarks.contestants import Entrant
from benchmarks.data import digits, feed
from benchmarks.pacing import Gate

GENERATOR, DISCRIMINATOR = (128, 256, 512, 1024, 784), (784, 512, 256, 1)


def products(batch: int) -> Iterator[tuple[int, int, int]]:
    """Yield (m, k, n) of every product (m, k) @ (k, n) that one step needs.

    One generator forward; the discriminator forward and backward on real and fake as one batch; its forward on
    the fakes and the way back through it; the generator backward. No gradient of the noise or of the real images.
    """
    yield from _forward(GENERATOR, batch)
    yield from _forward(DISCRIMINATOR, 2 * batch)
    yield from _weight_gradients(DISCRIMINATOR, 2 * batch)
    yield from _input_gradients(DISCRIMINATOR[1:], 2 * batch)
    yield from _forward(DISCRIMINATOR, batch)
    yield from _input_gradients(DISCRIMINATOR, batch)
    yield from _weight_gradients(GENERATOR, batch)
    yield from _input_gradients(GENERATOR[1:], batch)


def _forward(widths: tuple[int, ...], batch: int) -> Iterator[tuple[int, int, int]]:
    return ((batch, narrow, wide) for narrow, wide in itertools.pairwise(widths))


def _weight_gradients(widths: tuple[int, ...], batch: int) -> Iterator[tuple[int, int, int]]:
    return ((narrow, batch, wide) for narrow, wide in itertools.pairwise(widths))


def _input_gradients(widths: tuple[int, ...], batch: int) -> Iterator[tuple[int, int, int]]:
    return ((batch, wide, narrow) for narrow, wide in itertools.pairwise(widths))


def _fastest(m: int, k: int, n: int) -> Callable[[], object]:
    """Try each operand, and the result, in both layouts; return the quickest product."""
    tried = []
    for left, right, out in itertools.product((False, True), repeat=3):
        a = torch.randn(k, m).T if left else torch.randn(m, k)
        b = torch.randn(n, k).T if right else torch.randn(k, n)
        if out:
            into = torch.empty(n, m)
            call = lambda a=a, b=b, into=into: torch.mm(b.T, a.T, out=into)  # noqa: E731
        else:
            into = torch.empty(m, n)
            call = lambda a=a, b=b, into=into: torch.mm(a, b, out=into)  # noqa: E731
        tried.append((min(_seconds(call) for _ in range(10)), len(tried), call))
    return min(tried)[-1]


def _seconds(call: Callable[[], object]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


def floor(entrant: Entrant, gate: Gate) -> None:
    """Multiply and update, without end, at the pace of the same batches that everybody takes."""
    torch.set_num_threads(THREADS)
    calls = [_fastest(*shape) for shape in products(entrant.batch)]
    count = sum(n * m + m for widths in (GENERATOR, DISCRIMINATOR) for n, m in itertools.pairwise(widths))
    weights = torch.zeros(count, requires_grad=True)
    weights.grad = torch.full((count,), 1e-3)
    adam = torch.optim.Adam([weights], lr=2e-4, fused=True)
    with torch.no_grad():
        for _ in gate.pace(feed(digits(entrant.count), entrant.batch, GENERATOR[0])):
            for call in calls:
                call()
            adam.step()

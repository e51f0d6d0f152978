"""Both networks tried on one batch: what does not fit is said before the first step, what differs is found out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ms_gan_callbacks.errors import RecipeError, describe
from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.networks import Floats, Labels
from ms_gan_callbacks.models.probe_warnings import inspect_classes, inspect_images, inspect_scores

GLARE = 1000.0


class Fit(NamedTuple):
    """What trying both networks has shown.

    Attributes:
        joined: whether the discriminator may see real and fake as one batch.
        scores: its scores for fakes, for reals, and for reals ``GLARE`` times as bright.
        labelled: whether the discriminator takes labels.
        chancy: what draws at random within a network, in words.
        coupled: whether images of one batch change each other's scores.
        doubts: what will train, but not as its author may think, in words.
    """

    joined: bool
    scores: Floats
    labelled: bool = False
    chancy: tuple[str, ...] = ()
    coupled: bool = False
    doubts: tuple[str, ...] = ()


def check_fit(
    generator: nn.Cell,
    discriminator: nn.Cell,
    real: Floats,
    noise: Floats,
    classes: int | None = None,
    classifies: bool = False,
) -> Fit:
    """Try both networks on one batch, and put their moving statistics back.

    Real and fake may not share a batch where one image changes another's score: with batch statistics
    (BatchNorm, minibatch discrimination) or in-network randomness. That is looked for, not guessed from names.

    Args:
        generator: in training mode, as the other.
        discriminator: likewise.
        real: images (N, C, H, W).
        noise: (N, noise_dim).
        classes: of a conditional run, whose networks take labels.
        classifies: whether the discriminator returns (scores, class logits).

    Raises:
        RecipeError: the generator does not take the noise, its images are not shaped like the data, the
            discriminator does not take them, or does not return one score an image; or a network takes labels
            where there are none, or the other way round.
    """
    labels: Labels = (np.arange(len(real)) % (classes or 1)).astype(np.int32)
    given = [labels] if _check_takes_labels("generator", generator, classes, needed=True) else []
    labelled = _check_takes_labels("discriminator", discriminator, classes, needed=not classifies)
    judge = Judge(discriminator, labels if labelled else None, classes if classifies else None)
    along = f" with labels 0 to {classes - 1}" if classes else ""
    fakes = _try("generator", generator, f"noise of shape {noise.shape}{along}", noise, *given)
    fake = _check_images(fakes, real)
    scores = judge.scores(fake, f"the generator's images, {fake.shape}")
    both, classes_of_both = judge.outputs(np.concatenate((fake, real)))
    # An untrained network's scores huddle together: images out of all proportion drive them apart.
    loud, classes_of_loud = judge.outputs(GLARE * real)
    _check_finite("the discriminator's scores", both)
    ours = _find_chancy(
        "generator", generator, _agree(fake, *_try("generator", generator, "noise", noise, *given))
    )
    theirs = _find_chancy("discriminator", discriminator, _agree(scores, judge.scores(fake)))
    normalised = any(isinstance(cell, BatchNorm) for _, cell in discriminator.cells_and_names())
    alone = not normalised and _agree(both[: len(fake)], scores)
    doubts = [*inspect_images(generator, fake), *inspect_scores(np.concatenate((both, loud)))]
    if classes_of_both is not None and classes_of_loud is not None:
        doubts += inspect_classes(np.concatenate((classes_of_both, classes_of_loud)))
    return Fit(
        joined=alone,
        scores=np.concatenate((both, loud)),
        labelled=labelled,
        chancy=(*ours, *theirs),
        coupled=normalised or not (alone or theirs),
        doubts=tuple(doubts),
    )


def _check_images(outputs: list[Floats], real: Floats) -> Floats:
    """Return what a generator has made, if it is images like the real ones."""
    if len(outputs) != 1:
        raise RecipeError(f"the generator must return images, one output, not {len(outputs)} outputs")
    [fake] = outputs
    if fake.shape != real.shape:
        raise RecipeError(f"the generator makes images of shape {fake.shape[1:]}, the data holds {real.shape[1:]}")
    _check_finite("the generator's images", fake)
    return fake


def _check_finite(what: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        raise RecipeError(f"{what} hold NaN or infinity before the first step")


def _agree(left: Floats, right: Floats) -> bool:
    return bool(np.allclose(left, right, rtol=1e-3, atol=1e-4))


class Judge(NamedTuple):
    """A discriminator to be tried: with labels, where it takes them; for class logits, where it returns them."""

    discriminator: nn.Cell
    labels: Labels | None
    classes: int | None

    def scores(self, images: Floats, what: str = "images") -> Floats:
        """Return the scores of images, (N, 1) or (N,).

        Raises:
            RecipeError: the network does not take them, or returns something else.
        """
        return self.outputs(images, what)[0]

    def outputs(self, images: Floats, what: str = "images") -> tuple[Floats, Floats | None]:
        """Return the scores of images, (N, 1) or (N,), and their class logits (N, classes), where there are any.

        Raises:
            RecipeError: as :meth:`scores` does.
        """
        count = len(images)
        given = [] if self.labels is None else [np.resize(self.labels, count)]
        outputs = _try("discriminator", self.discriminator, what, images, *given)
        if self.classes is not None:
            wanted = f"(scores, class logits), ({count}, 1) and ({count}, {self.classes})"
            if len(outputs) != 2 or outputs[1].shape != (count, self.classes):
                got = ", ".join(str(output.shape) for output in outputs)
                raise RecipeError(f"the discriminator must return {wanted}, not {got}")
        elif len(outputs) != 1:
            raise RecipeError(
                f"the discriminator must return one score an image, ({count}, 1), not {len(outputs)} outputs; "
                "class logits beside scores are what AuxiliaryClassifier(...) is for"
            )
        if outputs[0].shape not in ((count,), (count, 1)):
            raise RecipeError(
                f"the discriminator must return one score an image, ({count}, 1), not {outputs[0].shape}"
            )
        return outputs[0], outputs[1] if self.classes is not None else None


def _check_takes_labels(player: str, network: nn.Cell, classes: int | None, needed: bool) -> bool:
    """Return whether a network is to be given labels; RecipeError where it cannot be as it is described."""
    takes = {"generator": "noise", "discriminator": "images"}[player]
    least, most = _count_inputs(network)
    if classes is None:
        if least >= 2:
            raise RecipeError(
                f"the {player} takes {least} inputs; construct(self, {takes}, labels) is for a conditional run: "
                "say how many labels there are with classes=..."
            )
        return False
    if needed and most < 2:
        raise RecipeError(
            f"classes={classes} gives labels to both networks, and the {player} takes none: "
            f"write construct(self, {takes}, labels), or leave classes out"
        )
    return most >= 2


def takes_labels(network: nn.Cell) -> bool:
    """Whether a network can be given labels behind its images or noise."""
    return _count_inputs(network)[1] >= 2


def _count_inputs(network: nn.Cell) -> tuple[int, float]:
    """Return how many inputs a network must and can be given by position."""
    parameters = inspect.signature(network.construct).parameters.values()
    placed = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    least = sum(one.default is one.empty for one in placed)
    return least, float("inf") if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(placed)


def _find_chancy(player: str, network: nn.Cell, same: bool) -> list[str]:
    """Return what draws at random in a network: by layer where it is a Dropout, else for all of it."""
    layers = [
        f"{type(cell).__name__} in the {player} ({name})"
        for name, cell in network.cells_and_names()
        if type(cell).__name__.startswith("Dropout")
    ]
    return layers or ([] if same else [f"something in the {player}"])


def _try(player: str, network: nn.Cell, what: str, *inputs: Floats | Labels) -> list[Floats]:
    """Return a network's outputs in training mode; every try finds, and leaves, its statistics as they were."""
    try:
        with restore_values(network.get_parameters()):
            network.set_train(True)
            outputs = network(*(Tensor.from_numpy(np.ascontiguousarray(one)) for one in inputs))
            several = outputs if isinstance(outputs, tuple) else (outputs,)
            values = [np.array(output.asnumpy(), np.float32) for output in several]
    except Exception as error:
        raise RecipeError(f"the {player} does not take {what}: {describe(error)}") from error
    if player == "generator" and several[0].dtype != ms.float32:
        raise RecipeError(
            f"the generator makes images of {several[0].dtype}: return images.astype(mindspore.float32)"
        )
    return values


@contextmanager
def restore_values(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Put back whatever Parameters hold, the moving statistics of a network that is tried, say."""
    before = [(parameter, parameter.asnumpy().copy()) for parameter in parameters]
    try:
        yield
    finally:
        for parameter, value in before:
            if not np.array_equal(parameter.asnumpy(), value, equal_nan=True):
                ops.assign(parameter, Tensor(value))

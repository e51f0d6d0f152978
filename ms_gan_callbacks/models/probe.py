"""Probe of both networks with one batch, which finds errors and properties before the first step."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ms_gan_callbacks.errors import RecipeError, describe
from ms_gan_callbacks.models.graph_mode import synchronous_operations
from ms_gan_callbacks.models.layers.dropout import Replayed
from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.networks import Floats, Labels
from ms_gan_callbacks.models.probe_warnings import inspect_classes, inspect_images, inspect_scores

BRIGHTNESS = 1000.0
"""Factor of the images whose scores show the range of an untrained discriminator."""
STRENGTH = 100.0
"""Factor of the discriminator's weights for the same purpose."""


class ProbeResult(NamedTuple):
    """The results of probing both networks.

    Attributes:
        joined: whether real and fake images may be passed to the discriminator as one batch.
        scores: scores of fakes, of real images, and of real images multiplied by ``BRIGHTNESS`` with weights
            multiplied by ``STRENGTH``.
        labelled: whether the discriminator takes labels.
        random_layers: descriptions of random layers whose random numbers cannot be replayed.
        coupled: whether the score of an image depends on other images of the batch.
        warnings: warnings about probable mistakes.
    """

    joined: bool
    scores: Floats
    labelled: bool = False
    random_layers: tuple[str, ...] = ()
    coupled: bool = False
    warnings: tuple[str, ...] = ()


@synchronous_operations()
def probe_networks(
    generator: nn.Cell,
    discriminator: nn.Cell,
    real: Floats,
    noise: Floats,
    classes: int | None = None,
    classifies: bool = False,
) -> ProbeResult:
    """Probe both networks with one batch in training mode, and restore their moving statistics.

    Real and fake images cannot share a batch if the score of one image depends on others: with batch statistics
    (BatchNorm, minibatch discrimination) or random layers. This is determined from the outputs.

    Args:
        generator: maps noise to images.
        discriminator: maps images to scores.
        real: images (N, C, H, W).
        noise: (N, noise_dim).
        classes: number of classes of a conditional run, or None.
        classifies: whether the discriminator returns (scores, class logits).

    Raises:
        RecipeError: a network rejects its inputs or returns outputs of the wrong number, shape or type, or takes
            labels in an unconditional run, or does not take them in a conditional run.
    """
    labels: Labels = (np.arange(len(real)) % (classes or 1)).astype(np.int32)
    given = [labels] if _check_takes_labels("generator", generator, classes, needed=True) else []
    labelled = _check_takes_labels("discriminator", discriminator, classes, needed=not classifies)
    probed = ProbedDiscriminator(discriminator, labels if labelled else None, classes if classifies else None)
    what = f"noise of shape {noise.shape}" + (f" with labels 0 to {classes - 1}" if classes else "")
    fake = _check_images(_run("generator", generator, what, noise, *given), real)
    scores = probed.scores(fake, f"the generator's images, {fake.shape}")
    both, classes_of_both = probed.outputs(np.concatenate((fake, real)))
    # Scores of an untrained network may all be near 0.5 without a sigmoid: extreme weights show their range.
    with restore_values(discriminator.get_parameters()):
        for weight in discriminator.trainable_params():
            ops.assign(weight, STRENGTH * weight)
        loud, classes_of_loud = probed.outputs(BRIGHTNESS * real)
    _check_finite("the discriminator's scores", both)
    [again] = _run("generator", generator, "noise", noise, *given)
    random_generator = _find_random_layers("generator", generator, _agree(fake, again))
    random_discriminator = _find_random_layers("discriminator", discriminator, _agree(scores, probed.scores(fake)))
    normalised, replayed = (_contains(discriminator, kind) for kind in (BatchNorm, Replayed))
    alone = not (normalised or replayed) and _agree(both[: len(scores)], scores)
    warnings = [*inspect_images(generator, fake), *inspect_scores(both, loud)]
    if classes_of_both is not None:
        warnings += inspect_classes(classes_of_both, classes_of_loud)
    return ProbeResult(
        joined=alone,
        scores=np.concatenate((both, loud)),
        labelled=labelled,
        random_layers=(*random_generator, *random_discriminator),
        coupled=normalised or not (alone or replayed or random_discriminator),
        warnings=tuple(warnings),
    )


def _contains(network: nn.Cell, kind: type[Any]) -> bool:
    return any(isinstance(cell, kind) for _, cell in network.cells_and_names())


def _check_images(outputs: list[Floats], real: Floats) -> Floats:
    """Return the generator's images; raise RecipeError unless they have the shape of real ones."""
    if len(outputs) != 1:
        raise RecipeError(f"the generator must return images, one output, not {len(outputs)} outputs")
    [fake] = outputs
    if fake.shape != real.shape:
        raise RecipeError(
            f"the generator returns images of shape {fake.shape[1:]}, but the data has {real.shape[1:]}"
        )
    _check_finite("the generator's images", fake)
    return fake


def _check_finite(what: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        raise RecipeError(f"{what} contain NaN or infinity before the first step")


def _agree(left: Floats, right: Floats) -> bool:
    return bool(np.allclose(left, right, rtol=1e-3, atol=1e-4))


class ProbedDiscriminator(NamedTuple):
    """A discriminator with the labels it takes and the number of class logits it returns, or None."""

    discriminator: nn.Cell
    labels: Labels | None
    classes: int | None

    def scores(self, images: Floats, what: str = "images") -> Floats:
        """Return the scores of images, (N, 1) or (N,)."""
        return self.outputs(images, what)[0]

    def outputs(self, images: Floats, what: str = "images") -> tuple[Floats, Floats | None]:
        """Return the scores of images, (N, 1) or (N,), and their class logits (N, classes) or None.

        Raises:
            RecipeError: the network rejects the images, or its outputs have the wrong number or shape.
        """
        given = [] if self.labels is None else [np.resize(self.labels, len(images))]
        pack = getattr(self.discriminator, "pack", 1)
        count, what_for = len(images) // pack, "image" if pack == 1 else f"pack of {pack} images"
        outputs = _run("discriminator", self.discriminator, what, images, *given)
        if self.classes is not None:
            wanted = f"(scores, class logits), ({count}, 1) and ({count}, {self.classes})"
            if len(outputs) != 2 or outputs[1].shape != (count, self.classes):
                got = ", ".join(str(output.shape) for output in outputs)
                raise RecipeError(f"the discriminator must return {wanted}, not {got}")
        elif len(outputs) != 1:
            raise RecipeError(
                f"the discriminator must return one score per {what_for}, ({count}, 1), not {len(outputs)} "
                "outputs; to return class logits, too, use objective=AuxiliaryClassifier(...)"
            )
        if outputs[0].shape not in ((count,), (count, 1)):
            raise RecipeError(
                f"the discriminator must return one score per {what_for}, ({count}, 1), not {outputs[0].shape}"
            )
        return outputs[0], outputs[1] if self.classes is not None else None


def _check_takes_labels(player: str, network: nn.Cell, classes: int | None, needed: bool) -> bool:
    """Return whether to pass labels to a network; raise RecipeError if its inputs contradict ``classes``."""
    takes = {"generator": "noise", "discriminator": "images"}[player]
    least, most = _count_inputs(network)
    if classes is None:
        if least >= 2:
            raise RecipeError(
                f"the {player} takes {least} inputs, but construct(self, {takes}, labels) requires a conditional "
                "run: set the number of classes with classes=..."
            )
        return False
    if needed and most < 2:
        raise RecipeError(
            f"classes={classes} passes labels to both networks, but the {player} does not take any: "
            f"define construct(self, {takes}, labels), or remove classes"
        )
    return most >= 2


def takes_labels(network: nn.Cell) -> bool:
    """Return whether a network accepts labels after its images or noise."""
    return _count_inputs(network)[1] >= 2


def _count_inputs(network: nn.Cell) -> tuple[int, float]:
    """Return the minimum and maximum number of positional inputs of a network."""
    parameters = inspect.signature(network.construct).parameters.values()
    placed = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    least = sum(one.default is one.empty for one in placed)
    return least, float("inf") if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(placed)


def _find_random_layers(player: str, network: nn.Cell, same: bool) -> list[str]:
    """Return descriptions of random layers: each Dropout, or the whole network if its outputs differ."""
    return list_random_layers(player, network) or ([] if same else [f"something in the {player}"])


def list_random_layers(player: str, network: nn.Cell) -> list[str]:
    """Return descriptions of each Dropout of a network, except those whose masks are replayed."""
    return [
        f"{type(cell).__name__} in the {player} ({name})"
        for name, cell in network.cells_and_names()
        if type(cell).__name__.startswith("Dropout") and not isinstance(cell, Replayed)
    ]


def _run(player: str, network: nn.Cell, what: str, *inputs: Floats | Labels) -> list[Floats]:
    """Return a network's outputs in training mode, and restore its statistics."""
    try:
        with restore_values(network.get_parameters()):
            network.set_train(True)
            outputs = network(*(Tensor.from_numpy(np.ascontiguousarray(one)) for one in inputs))
            several = outputs if isinstance(outputs, tuple) else (outputs,)
            values = [np.array(output.asnumpy(), np.float32) for output in several]
    except Exception as error:
        raise RecipeError(f"the {player} does not accept {what}: {describe(error)}") from error
    finally:
        network.set_train(False)
    if player == "generator" and several[0].dtype != ms.float32:
        raise RecipeError(
            f"the generator returns images of {several[0].dtype}: return images.astype(mindspore.float32)"
        )
    return values


@contextmanager
def restore_values(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Restore the values of Parameters at exit."""
    before = [(parameter, parameter.asnumpy().copy()) for parameter in parameters]
    try:
        yield
    finally:
        for parameter, value in before:
            if not np.array_equal(parameter.asnumpy(), value, equal_nan=True):
                ops.assign(parameter, Tensor(value))

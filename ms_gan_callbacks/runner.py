"""A generator against a discriminator, Model-style: ``train``, ``sample``, ``eval``."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from ms_gan_callbacks.bus import CallbackBus
from ms_gan_callbacks.callback import Callback
from ms_gan_callbacks.callbacks.defaults import with_defaults
from ms_gan_callbacks.data import ArraySource, Source, as_source, first_images, noise, stream
from ms_gan_callbacks.errors import GanWarning, UsageError
from ms_gan_callbacks.evaluation import Evaluation, Evaluator
from ms_gan_callbacks.lineage import go_on, made_of, recipe_of
from ms_gan_callbacks.loop import Interruption, NoInterruption, TrainingLoop
from ms_gan_callbacks.metrics import mode_of
from ms_gan_callbacks.networks import Floats, Network, OptimizerFactory, use_device
from ms_gan_callbacks.objectives import NonSaturating, Objective
from ms_gan_callbacks.recipe import Recipe, whole_number
from ms_gan_callbacks.result import RunResult
from ms_gan_callbacks.rollback import roll_back
from ms_gan_callbacks.run import Progress, Run
from ms_gan_callbacks.run_dir import check_free, claimed, describe_run, fresh_run_dir, read_facts
from ms_gan_callbacks.scalars import EpochMeans
from ms_gan_callbacks.store import CheckpointStore
from ms_gan_callbacks.training import SCALARS, Players


class Runner:
    """Owns one run: both players, where it stands, and its folder.

    ::

        runner = Runner(Generator, Discriminator, optimizer=partial(nn.Adam, learning_rate=2e-4), noise_dim=128)
        result = runner.train(10, images, callbacks=[TensorBoard(), ImageGrid(), Checkpoint()])
        pictures = runner.sample(64)

    Args:
        generator: a cell that maps noise (N, noise_dim) to images (N, C, H, W), or a factory for one. A factory
            is called with the seed set, so that the initial weights follow from it.
        discriminator: a cell that maps images to scores (N, 1), or a factory.
        objective: the losses; by default the non-saturating ones, on logits.
        optimizer: makes an optimizer from a player's parameters.
        noise_dim: length of a noise vector.
        seed: what every random number of the run follows from.
        accelerate: replace stock layers by their fast equals, on a CPU; see :func:`accelerate`.
        out_dir: the run's folder, new or empty; by default ``runs/<name>-<time>``.
        device: "CPU", "GPU" or "Ascend"; by default MindSpore's own choice.
        name: what a default folder is called after.
        resume: go on with the run in ``out_dir`` from its newest whole checkpoint (True) or from that of a step;
            the first :meth:`train` then takes the number of epochs in all.
        allow_change: names of what may differ from the run that is resumed.
        interruption: tells the loop to end between two steps; the command line's signals.

    Raises:
        RecipeError: a network, the optimizer or a number cannot be used.
        RunDirError: the folder is taken; or, to resume, holds no run.
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        *,
        objective: Objective | None = None,
        optimizer: OptimizerFactory,
        noise_dim: int,
        seed: int = 0,
        accelerate: bool = True,
        out_dir: str | Path | None = None,
        device: str | None = None,
        name: str = "gan",
        resume: bool | int = False,
        allow_change: Collection[str] = (),
        interruption: Interruption | None = None,
    ) -> None:
        whole_number("noise_dim", noise_dim, 1)
        whole_number("seed", seed, 0)
        self.out_dir = fresh_run_dir(name) if out_dir is None else Path(out_dir)
        if resume is False:
            check_free(self.out_dir)
        else:
            read_facts(self.out_dir)
        use_device(device)
        self._resume, self._allowed = resume, allow_change
        self._interruption = interruption or NoInterruption()
        self._recipe: Recipe | None = None
        self._objective = NonSaturating() if objective is None else objective
        self._noise_dim, self._seed = noise_dim, seed
        self._players = Players(generator, discriminator, optimizer, seed, accelerate)
        self._store = CheckpointStore(self.out_dir / "checkpoints")
        self._progress = Progress(epochs=0, steps_per_epoch=1)
        self._epoch_means = EpochMeans(SCALARS)
        self._content: tuple[object, ...] | None = None

    @classmethod
    def from_recipe(cls, recipe: Recipe, out_dir: str | Path | None = None, **options: Any) -> Runner:
        """Return a runner for a recipe; its :meth:`train` then needs no arguments.

        Args:
            recipe: networks, objective, optimizer, data, seed, epochs and callbacks.
            out_dir: the run's folder, as for the class.
            **options: ``device``, ``resume``, ``allow_change``, ``interruption``, as for the class.

        Raises:
            RecipeError, RunDirError: as the class does.
        """
        runner = cls(
            recipe.generator,
            recipe.discriminator,
            objective=recipe.objective,
            optimizer=recipe.optimizer,
            noise_dim=recipe.noise_dim,
            seed=recipe.seed,
            accelerate=recipe.accelerate,
            out_dir=out_dir,
            name=recipe.origin.name if recipe.origin else "gan",
            **options,
        )
        runner._recipe = recipe
        return runner

    @classmethod
    def resume(
        cls,
        out_dir: str | Path,
        *,
        from_step: int | None = None,
        overrides: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Runner:
        """Return a runner that goes on with the run in a folder, by the recipe that lies in it.

        Args:
            out_dir: the run's folder, wherever it has been moved to.
            from_step: the step whose checkpoint to go on from; by default the newest that is whole.
            overrides: parameters of the recipe to change; ``epochs`` may always, others with ``allow_change``.
            **options: ``device``, ``allow_change``, ``interruption``, as for the class.

        Raises:
            RunDirError: the folder holds no run, or one that was not made by a recipe.
            RecipeError: as :func:`load_recipe` does.
        """
        recipe = recipe_of(Path(out_dir), overrides or {})
        return cls.from_recipe(recipe, out_dir, resume=True if from_step is None else from_step, **options)

    def train(
        self,
        epochs: int | None = None,
        data: Any = None,
        callbacks: Iterable[Callback] | None = None,
        *,
        evaluation: Evaluation | None = None,
        batch_size: int = 32,
        quiet: bool = False,
    ) -> RunResult:
        """Train for some epochs; called again, train on from there.

        Args:
            epochs: passes over the data; by default the recipe's.
            data: images as an array (N, C, H, W), a Source, or a batched ``mindspore.dataset`` pipeline; by
                default the recipe's.
            callbacks: by default the recipe's; those of ``mindspore.train`` are adapted. The metrics log, and the
                console unless ``quiet``, are added.
            evaluation: what to measure of the generator, and when; by default the recipe's, else nothing.
            batch_size: images in a batch, for an array.
            quiet: leave the console and the closing summary out.

        Raises:
            GanError: something does not fit; nothing has been trained or written yet.
            Exception: what a network or a callback raised, annotated with where.
        """
        began = perf_counter()
        recipe = self._recipe
        if recipe is not None:
            epochs = recipe.epochs if epochs is None else epochs
            data = recipe.data() if data is None else data
            callbacks = recipe.callbacks if callbacks is None else callbacks
            evaluation = recipe.evaluation() if evaluation is None else evaluation
        if epochs is None or data is None:
            raise UsageError("train(epochs, data) needs both: this runner has no recipe to take them from")
        whole_number("epochs", epochs, 1)
        bus = CallbackBus(with_defaults(callbacks or (), quiet))
        loop = self._prepare(epochs, as_source(data, batch_size), bus, evaluation or Evaluation())
        fresh = self._progress.step == 0 and self._resume is False
        with self._interruption.deferred(), claimed(self.out_dir, fresh):
            if fresh:
                describe_run(self.out_dir, loop.run.facts, loop.run.recipe_source)
            elif self._resume is not False:
                go_on(loop, self._resume, self._allowed)
                self._resume = False
            first_step = self._progress.step
            self._run(loop, fresh)
        result = RunResult.of(loop.run, loop.bus, perf_counter() - began, first_step)
        if not quiet:
            print(result.summary(), flush=True)
        return result

    def _run(self, loop: TrainingLoop, fresh: bool) -> None:
        try:
            while not loop.train():
                roll_back(loop)
        except BaseException:
            if fresh and self._progress.g_updates == 0:
                # Nothing was trained, so that nothing is lost, and the folder is free for another try.
                shutil.rmtree(self.out_dir, ignore_errors=True)
            raise

    @property
    def generator(self) -> nn.Cell:
        """The generator's cell."""
        return self._players.generator

    @property
    def discriminator(self) -> nn.Cell:
        """The discriminator's cell."""
        return self._players.discriminator

    def sample(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` generated images, (count, C, H, W) in [-1, 1], from the noise of that name."""
        return self._players.generate(noise(self._seed, name, 0, count, self._noise_dim))

    def eval(self, images: NDArray[Any]) -> dict[str, float]:
        """Return the losses, D(x), D(G(z)) and V(D, G), by the names a step publishes, on held-out images.

        As many images are generated; both networks are in evaluation mode.

        Args:
            images: (N, C, H, W), uint8 or floats in [-1, 1].
        """
        source = ArraySource(images, batch_size=len(images))
        real = next(source.batches(self._seed, epoch=1))
        return self._players.evaluate(self._objective, real, self.sample(len(real), "eval"))

    def _prepare(self, epochs: int, source: Source, bus: CallbackBus, evaluation: Evaluation) -> TrainingLoop:
        """Look for everything that can go wrong before the first step; touch the disk last."""
        self._check_same_data(source)
        draw = stream(self._seed, "probe", 0)
        real = draw.uniform(-1, 1, (source.batch_size, *source.image_shape)).astype(np.float32)
        probe = noise(self._seed, "probe", 1, source.batch_size, self._noise_dim)
        self._players.compile_for(self._objective, real, probe)
        # A run that is resumed is asked for its epochs in all; one that trains on in the same process, for more.
        self._progress.epochs += epochs
        self._progress.steps_per_epoch = source.steps_per_epoch
        run = self._new_run(source, bus)
        evaluator = Evaluator(evaluation, source, self._seed)
        evaluator.check(run)
        run.metric_names = frozenset(evaluation.metrics)
        run.monitors |= run.metric_names
        run.better = {name: mode for name, metric in evaluation.metrics.items() if (mode := mode_of(metric))}
        for warning in bus.check(run):
            warnings.warn(warning, GanWarning, stacklevel=3)
        return TrainingLoop(self._players, source, bus, run, self._store, evaluator, self._interruption)

    def _check_same_data(self, source: Source) -> None:
        """Refuse to go on with other data: the epochs counted so far would lose their meaning."""
        content = (source.batch_size, source.count, source.image_shape, source.sha256())
        if self._content not in (None, content):
            raise UsageError(
                f"this run goes on with the data and batch size it began with, not with {source.name} in "
                f"batches of {source.batch_size}; for other data make a new Runner, which takes the same cells"
            )
        self._content = content

    def _new_run(self, source: Source, bus: CallbackBus) -> Run:
        origin = self._recipe.origin if self._recipe else None
        return Run(
            progress=self._progress,
            out_dir=self.out_dir,
            seed=self._seed,
            noise_dim=self._noise_dim,
            generator=self._players.generator,
            discriminator=self._players.discriminator,
            train_network=self._players.step,
            generate=self._players.generate,
            draw_real=partial(first_images, source),
            learning_rates=self._players.learning_rates,
            scale_learning_rates=self._players.scale_learning_rates,
            epoch_means=self._epoch_means,
            facts=made_of(self._players, source, self._progress.epochs, self._noise_dim, self._seed, origin),
            recipe_source=origin.source if origin else None,
            monitors=frozenset(SCALARS) | bus.publishes(),
        )

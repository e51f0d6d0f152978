"""The Model-style interface to one run: ``train``, ``sample``, ``eval``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from ms_gan_callbacks.config.evaluation import Evaluation
from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.data.sources import make_source
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.scalars import EpochMeans
from ms_gan_callbacks.models.augmentation import Augmentation
from ms_gan_callbacks.models.games.game import Game
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.losses.adversarial import NonSaturating
from ms_gan_callbacks.models.losses.objective import Losses
from ms_gan_callbacks.models.losses.penalties import Penalty
from ms_gan_callbacks.models.networks import Network, OptimizerFactory, make, use_device
from ms_gan_callbacks.models.settings import Method, check_whole_number
from ms_gan_callbacks.models.two_players import build_players
from ms_gan_callbacks.models.world import join_world
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import RunFolder
from ms_gan_callbacks.training import setup
from ms_gan_callbacks.training.follower import Follower
from ms_gan_callbacks.training.gan_model import GanModel
from ms_gan_callbacks.training.lineage import load_stored_recipe, open_run
from ms_gan_callbacks.training.loop import Interruption, NoInterruption, TrainingLoop
from ms_gan_callbacks.training.ranks import Order, check_same
from ms_gan_callbacks.training.result import RunResult, record_timing
from ms_gan_callbacks.training.resume import resume_run
from ms_gan_callbacks.training.rollback import roll_back


class Runner(GanModel):
    """Trains a generator against a discriminator; one runner is one run with its own folder.

    ::

        runner = Runner(Generator, Discriminator, optimizer=partial(nn.Adam, learning_rate=2e-4), noise_dim=128)
        result = runner.train(10, images, callbacks=[TensorBoard(), ImageGrid(), Checkpoint()])
        images = runner.sample(64)

    Args:
        generator: a cell that maps noise (N, noise_dim) to images (N, C, H, W), or a factory for one. A factory
            is called with the seed set, which determines the initial weights.
        discriminator: a cell that maps images to scores (N, 1), or a factory.
        objective: the losses; by default :class:`NonSaturating` on logits. This and the arguments up to
            ``sync_batch_norm`` are the settings that :class:`Method` describes.
        out_dir: the run's folder, new or empty; by default ``runs/<name>-<time>``.
        device: "CPU", "GPU" or "Ascend"; by default MindSpore's own choice.
        name: the first part of a default folder's name.
        resume: continue the run in ``out_dir`` from its newest intact checkpoint (True) or from that of a step;
            the first :meth:`train` then takes the total number of epochs.
        allow_change: names of settings that may differ from the resumed run.
        interruption: asks the loop to end between two steps, as the command line does on a signal.

    Raises:
        RecipeError: a network, the optimizer or a number cannot be used.
        RunDirError: the folder is taken; or, to resume, holds no run.
    """

    _recipe: Recipe | None = None

    def __init__(
        self,
        generator: Network | None = None,
        discriminator: Network | None = None,
        *,
        objective: Losses | None = None,
        optimizer: OptimizerFactory | None = None,
        noise_dim: int | None = None,
        game: Callable[[], Game] | None = None,
        networks: Mapping[str, Network] | None = None,
        players: Mapping[str, Player] | None = None,
        seed: int = 0,
        discriminator_optimizer: OptimizerFactory | None = None,
        penalty: Penalty | Sequence[Penalty] | None = None,
        augment: Augmentation | None = None,
        generator_every: int = 1,
        clip_norm: float | None = None,
        ema: float | None = None,
        classes: int | None = None,
        accelerate: bool = True,
        sync_batch_norm: bool = False,
        out_dir: str | Path | None = None,
        device: str | None = None,
        name: str = "gan",
        resume: bool | int = False,
        allow_change: Collection[str] = (),
        interruption: Interruption | None = None,
    ) -> None:
        method = Method(
            objective=NonSaturating() if objective is None and game is None else objective,
            optimizer=optimizer,
            noise_dim=noise_dim,
            game=game,
            networks=networks or {},
            players=players or {},
            seed=seed,
            discriminator_optimizer=discriminator_optimizer,
            penalty=penalty,
            augment=augment,
            generator_every=generator_every,
            clip_norm=clip_norm,
            ema=ema,
            classes=classes,
            accelerate=accelerate,
            sync_batch_norm=sync_batch_norm,
        )
        use_device(device)
        self._world, self._folder = join_world(), RunFolder(out_dir, name)
        if resume is not False:
            Manifest.read(self.out_dir)
        elif self._world.leads:
            self._folder.check_free()
        self._resume, self._allowed, self._interruption = resume, allow_change, interruption or NoInterruption()
        self._method = method
        self._players = build_players(method, generator, discriminator)
        self._progress = Progress(epochs=0, steps_per_epoch=1)
        self._epoch_means: EpochMeans | None = None
        self._content: Mapping[str, object] | None = None

    @classmethod
    def from_recipe(cls, recipe: Recipe, out_dir: str | Path | None = None, **options: Any) -> Runner:
        """Return a runner for a recipe, whose :meth:`train` needs no arguments.

        Args:
            recipe: networks, objective, optimizer, data, seed, epochs and callbacks.
            out_dir: the run's folder, as for the class.
            **options: ``device``, ``resume``, ``allow_change``, ``interruption``, as for the class.

        Raises:
            RecipeError, RunDirError: as the class does.
        """
        name = recipe.origin.name if recipe.origin else "gan"
        options = {**recipe.settings(), "out_dir": out_dir, "name": name, **options}
        runner = cls(recipe.generator, recipe.discriminator, **options)
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
        """Return a runner that continues the run in a folder, with the recipe that is stored there.

        Args:
            out_dir: the run's folder, which may have been moved.
            from_step: the step of the checkpoint to continue from; by default that of the newest intact one.
            overrides: parameters of the recipe to change; all but ``epochs`` require ``allow_change``.
            **options: ``device``, ``allow_change``, ``interruption``, as for the class.

        Raises:
            RunDirError: the folder does not contain a run, or the run was not started from a recipe.
            RecipeError: as :func:`load_recipe` does.
        """
        recipe = load_stored_recipe(Path(out_dir), overrides or {})
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
        """Train for a number of epochs; further calls continue from there.

        Args:
            epochs: passes over the data; by default the recipe's.
            data: images as an array (N, C, H, W), a Source, or a batched ``mindspore.dataset`` pipeline; by
                default the recipe's.
            callbacks: by default the recipe's; those of ``mindspore.train`` are adapted. The metrics log, and the
                console unless ``quiet``, are added.
            evaluation: the metrics and their schedule; by default the recipe's, without a recipe none.
            batch_size: images in a batch, if ``data`` is an array.
            quiet: print neither progress nor the closing summary.

        Raises:
            GanError: a check before the first step failed; nothing has been trained or written.
            Exception: an exception of a network or a callback, with a note that names the place.
        """
        began = perf_counter()
        recipe = self._recipe
        if recipe is not None:
            epochs = recipe.epochs if epochs is None else epochs
            data = make("data", recipe.data) if data is None else data
            callbacks = recipe.callbacks if callbacks is None else callbacks
            evaluation = recipe.evaluation() if evaluation is None else evaluation
        if epochs is None or data is None:
            raise UsageError("train(epochs, data) needs both arguments: this runner has no recipe")
        check_whole_number("epochs", epochs, 1)
        source, leads = make_source(data, batch_size), self._world.leads
        bus = CallbackBus(setup.add_default_callbacks(callbacks or (), quiet) if leads else (), owner=self)
        fresh = self._progress.step == 0 and self._resume is False
        with self._folder.reserve(fresh and leads):
            loop = self._prepare(epochs, source, bus, (evaluation if leads else None) or Evaluation())
            check_same(self._world, self._players, loop.run.manifest, source)
        first_step = self._follow(loop) if isinstance(loop, Follower) else self._lead(loop, fresh, began)
        result = RunResult.of(loop.run, loop.bus, perf_counter() - began, first_step)
        if leads and not quiet:
            print(result.summary(), flush=True)
        return result

    def _lead(self, loop: TrainingLoop, fresh: bool, began: float) -> int:
        """Train as rank 0, which is the only one that writes; return the number of steps before."""
        with self._interruption.defer(), self._folder.lock(fresh, loop.bus.writes()):
            if fresh:
                open_run(loop, self._recipe)
            elif self._resume is not False:
                resume_run(loop, self._resume, self._allowed, self._recipe)
                self._resume = False
            else:
                loop.run.manifest = loop.run.manifest.continue_from(Manifest.read(self.out_dir))
            first_step = self._progress.step
            loop.start_ranks()
            with record_timing(loop.run, loop.bus, began):
                while request := loop.train():
                    roll_back(loop, request)
                    loop.agreement.leave(Order.ROLL_BACK, loop.run.step + 1)
        return first_step

    def _follow(self, loop: Follower) -> int:
        """Train as another rank; return the number of steps before."""
        with self._interruption.defer():
            loop.start_ranks()
            self._folder.path = loop.run.out_dir
            self._resume, first_step = False, self._progress.step
            loop.train()
        return first_step

    @property
    def leads(self) -> bool:
        """Whether this process is rank 0, which saves and prints; True unless a run has several ranks."""
        return self._world.leads

    @property
    def out_dir(self) -> Path:
        """The run's folder; the name of a default folder is final when the training begins."""
        return self._folder.path

    def _prepare(self, epochs: int, source: Source, bus: CallbackBus, evaluation: Evaluation) -> TrainingLoop:
        """Check everything that can fail before the first step; write to the disk last."""
        self._content = setup.check_same_data(self._content, source)
        setup.prepare_players(self._players, source)
        if self._epoch_means is None:
            self._epoch_means = EpochMeans(self._players.steps.scalars)
        # A resumed run is given its total number of epochs; a later call in the same process adds epochs.
        self._progress.epochs += epochs
        self._progress.steps_per_epoch = source.steps_per_epoch
        if self._resume is False:
            self._players.check_rates(self._progress)
        origin = self._recipe.origin if self._recipe else None
        run = setup.create_run(
            self._players,
            source,
            bus,
            self._progress,
            self._epoch_means,
            self.out_dir,
            self._method,
            origin,
        )
        evaluator = setup.add_metrics(run, bus, evaluation, source)
        store = CheckpointStore(self.out_dir / "checkpoints")
        kind = TrainingLoop if self._world.leads else Follower
        return kind(run, bus, store, self._players, source, evaluator, self._interruption, self._folder.keep)

"""Reading and writing ``run.json``. Format 2 is format 1 with the key ``format``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from reprlib import repr as shortened
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.files import convert_errors, replace_file, to_json
from ms_gan_callbacks.storage.names import MANIFEST

FORMAT = 2
KINDS: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "an integer"),
    float: ((int, float), "a number"),
    str: (str, "a string"),
    Sequence: ((list, tuple), "a list"),
    Mapping: (Mapping, "an object"),
}
"""For each type of a field, the accepted types of a value and their name in messages."""

T = TypeVar("T", bound="Facts")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A typed JSON object: one field per key, with a default for missing keys.

    Attributes:
        facts: the JSON object, including unknown keys; read-only.
    """

    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def of(cls: type[T], facts: Any, key: str = "") -> T:
        """Create an object from a JSON object.

        Raises:
            ValueError: a value does not have the type of its field; the message names the key, below ``key``.
        """
        content, kinds = _convert(Mapping[str, Any], facts, key or "the file"), get_type_hints(cls)
        start, known = f"{key}." if key else "", cls.keys()
        values = {name: _convert(kinds[name], content[name], start + name) for name in content if name in known}
        return cls(**values, facts=MappingProxyType(dict(content)))

    @classmethod
    def keys(cls) -> set[str]:
        """Return the keys that have a field."""
        return {one.name for one in fields(cls)} - {"facts"}


def _convert(kind: Any, value: Any, key: str) -> Any:
    """Check the type of a value, and convert JSON objects to the classes of the fields."""
    outer, inner = get_origin(kind) or kind, get_args(kind)
    if outer is UnionType:
        return None if value is None else _convert(inner[0], value, key)
    if outer not in KINDS:
        return value if outer is Any else outer.of(value, key)
    types, name = KINDS[outer]
    if not isinstance(value, types) or (isinstance(value, bool) and outer is not bool):
        raise ValueError(f"{key} is {shortened(value)}, not {name}")
    if outer is Mapping:
        return {name: _convert(inner[1], one, f"{key}[{name!r}]") for name, one in value.items()}
    if outer is Sequence:
        return [_convert(inner[0], one, f"{key}[{place}]") for place, one in enumerate(value)]
    return value


@dataclass(frozen=True, kw_only=True)
class DataFacts(Facts):
    """The training data of a run; a digest is None if it is unknown or there are no labels.

    For games ``columns`` contains the shape of one row of each column that images are made from.
    """

    name: str = ""
    count: int = 0
    sha256: str | None = None
    labels_sha256: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvaluationFacts(Facts):
    """Settings of the metrics; ``floors`` contains the value of each metric for real images."""

    samples: int = 0
    features: str = ""
    floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HistoryEntry(Facts):
    """A resume or rollback of a run: its time and step."""

    resumed: str | None = None
    from_step: int | None = None
    rolled_back: str | None = None
    to_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Timing(Facts):
    """The duration of a call of ``Runner.train``, in seconds, and the part of it spent in each callback.

    ``ended`` is "finished", "interrupted" or "failed", ``at`` is the time, and ``reason`` the exception, or that
    of the callback that stopped the run. A call that was killed has no timing.
    """

    from_step: int = 0
    to_step: int = 0
    seconds: float = 0.0
    callbacks: Mapping[str, float] = field(default_factory=dict)
    ended: str | None = None
    reason: str | None = None
    at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest(Facts):
    """The content of ``run.json``.

    None means that a value does not apply to the run, or was not recorded by the version that started it. Runs of
    such versions did not support ``penalty``, ``augment``, ``clip_norm``, ``ema``, ``classes`` and attached
    components; their ``objective``, ``arguments`` and ``environment`` are unknown.
    """

    format: int = 1
    # Recipe and attached components:
    recipe: str | None = None
    recipe_sha256: str | None = None
    arguments: Mapping[str, Any] | None = None
    git_revision: str | None = None
    callbacks: Sequence[str] | None = None
    metrics: Sequence[str] | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    # Training settings:
    seed: int | None = None
    noise_dim: int | None = None
    objective: str | None = None
    penalty: str | None = None
    augment: str | None = None
    generator_every: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    classes: int | None = None
    game: str | None = None
    players: Mapping[str, str] = field(default_factory=dict)
    critic: bool = False
    sync_batch_norm: bool = False
    # Of runs by several processes: batch_norm describes the statistics that training uses.
    ranks: int = 1
    batch_norm: str | None = None
    # Runs of a ``mindspore.train.Model`` only:
    network: str | None = None
    optimizer: str | None = None
    # Length, data and layers:
    epochs: int | None = None
    data: DataFacts = field(default_factory=DataFacts)
    batch_size: int | None = None
    accelerated: Mapping[str, int] | None = None
    # Start time and environment:
    device: str | None = None
    started: str | None = None
    platform: str | None = None
    cpu: str | None = None
    cpus: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    # Of what has happened since:
    history: Sequence[HistoryEntry] = ()
    evaluation: EvaluationFacts = field(default_factory=EvaluationFacts)
    timings: Sequence[Timing] = ()

    @classmethod
    def new(cls, /, **facts: Any) -> Manifest:
        """Create a manifest in the current format."""
        return cls.of({"format": FORMAT, **facts} | {"format": FORMAT})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a run directory.

        Raises:
            RunDirError: the directory contains no run, or its ``run.json`` is damaged or of a newer format.
        """
        path = folder / MANIFEST
        if not folder.is_dir():
            raise RunDirError(f"run directory not found: {folder}")
        if not path.is_file():
            raise RunDirError(f"{folder} is not a run directory: it has no {MANIFEST}")
        try:
            content = _convert(Mapping[str, Any], json.loads(path.read_bytes()), "the file")
            version = _convert(int, content.get("format", cls.format), "format")
            if version < 1:
                raise ValueError(f"format is {version}, not an integer from 1 to {FORMAT}")
            if version <= FORMAT:
                return cls.of(content)
        except (OSError, ValueError, RecursionError) as error:
            raise RunDirError(f"{path} is damaged: {error}") from error
        raise RunDirError(
            f"{path} was written by a newer version of ms-gan-callbacks (format {version}, supported: {FORMAT})"
        )

    def write(self, folder: Path) -> None:
        """Write the manifest to a run directory, in the current format.

        Raises:
            RunDirError: the file cannot be written.
        """
        with convert_errors(RunDirError, f"write to {folder}"):
            replace_file(folder / MANIFEST, to_json(dict(self.replace().facts)))

    def replace(self, /, **changes: Any) -> Manifest:
        """Return a copy with changed values."""
        return self.new(**{**self.facts, **changes})

    def add_history(self, entry: Mapping[str, Any]) -> Manifest:
        """Return a copy with an additional entry in its history."""
        return self.replace(history=[*(dict(one.facts) for one in self.history), entry])

    def add_timing(self, timing: Mapping[str, Any]) -> Manifest:
        """Return a copy with the timing of an additional call."""
        return self.replace(timings=[*(dict(one.facts) for one in self.timings), timing])

    def continue_from(self, then: Manifest) -> Manifest:
        """Return a copy for a resumed run, with the start time, history, timings and unknown keys of ``then``."""
        dropped = self.keys() - {"history", "timings"}
        kept = {name: value for name, value in then.facts.items() if name not in dropped}
        return self.replace(**{**kept, "started": then.started})

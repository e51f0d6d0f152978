"""A run's ``run.json``: what the run was made of. It is read and written here, and nowhere else.

Format 2 is format 1 with the key ``format``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from reprlib import repr as shortened
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.files import replace_file, to_json

MANIFEST, FORMAT = "run.json", 2
KINDS: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
    Sequence: ((list, tuple), "a list"),
    Mapping: (Mapping, "an object"),
}
"""For each type of a field the types that a value may have, and what they are called in a file."""

T = TypeVar("T", bound="Facts")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A JSON object whose values have the types of the fields; for a key that is absent, a field has its default.

    Attributes:
        facts: the object as it is in the file, with the keys that no field stands for; it cannot be changed.
    """

    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def of(cls: type[T], facts: Any, key: str = "") -> T:
        """Return an object's values by field.

        Raises:
            ValueError: a value is of another type than its field; names the key, which begins with ``key``.
        """
        content, kinds = _typed(Mapping[str, Any], facts, key or "the file"), get_type_hints(cls)
        start, known = f"{key}." if key else "", cls.keys()
        values = {name: _typed(kinds[name], content[name], start + name) for name in content if name in known}
        return cls(**values, facts=MappingProxyType(dict(content)))

    @classmethod
    def keys(cls) -> set[str]:
        """Return the keys that a field stands for."""
        return {one.name for one in fields(cls)} - {"facts"}


def _typed(kind: Any, value: Any, key: str) -> Any:
    """Return a value, in which every object that a class stands for has been made one of that class."""
    outer, inner = get_origin(kind) or kind, get_args(kind)
    if outer is UnionType:
        return None if value is None else _typed(inner[0], value, key)
    if outer not in KINDS:
        return value if outer is Any else outer.of(value, key)
    types, name = KINDS[outer]
    if not isinstance(value, types) or (isinstance(value, bool) and outer is not bool):
        raise ValueError(f"{key} is {shortened(value)}, not {name}")
    if outer is Mapping:
        return {name: _typed(inner[1], one, f"{key}[{name!r}]") for name, one in value.items()}
    if outer is Sequence:
        return [_typed(inner[0], one, f"{key}[{place}]") for place, one in enumerate(value)]
    return value


@dataclass(frozen=True, kw_only=True)
class DataFacts(Facts):
    """What a run was trained on; the digests are None where they are not known, or there are no labels."""

    name: str = ""
    count: int = 0
    sha256: str | None = None
    labels_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationFacts(Facts):
    """What the metrics were measured with; ``floors`` has each metric's value for real images."""

    samples: int = 0
    features: str = ""
    floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HistoryEntry(Facts):
    """When a run was resumed, and from which step, or when it was rolled back, and to which."""

    resumed: str | None = None
    from_step: int | None = None
    rolled_back: str | None = None
    to_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest(Facts):
    """The content of ``run.json``.

    None stands for what does not apply to a run, or was not written down by the version that made it. Such a run
    had neither ``penalty``, ``clip_norm``, ``ema``, ``classes`` nor anything attached; its ``objective``,
    ``arguments`` and ``environment`` are unknown.
    """

    format: int = 1
    # Of its recipe, and what was attached to that:
    recipe: str | None = None
    recipe_sha256: str | None = None
    arguments: Mapping[str, Any] | None = None
    git_revision: str | None = None
    callbacks: Sequence[str] | None = None
    metrics: Sequence[str] | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    # Of its method:
    seed: int | None = None
    noise_dim: int | None = None
    objective: str | None = None
    penalty: str | None = None
    generator_every: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    classes: int | None = None
    critic: bool = False
    # Of a ``mindspore.train.Model``:
    network: str | None = None
    optimizer: str | None = None
    # Of its length, data and layers:
    epochs: int | None = None
    data: DataFacts = field(default_factory=DataFacts)
    batch_size: int | None = None
    accelerated: Mapping[str, int] | None = None
    # When it was started, and on what:
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

    @classmethod
    def new(cls, /, **facts: Any) -> Manifest:
        """Return the manifest of a run, in the format that is written today."""
        return cls.of({"format": FORMAT, **facts} | {"format": FORMAT})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest of the run in a folder.

        Raises:
            RunDirError: the folder holds no run, or its ``run.json`` is damaged or of a newer format.
        """
        path = folder / MANIFEST
        if not folder.is_dir():
            raise RunDirError(f"there is no run {folder}")
        if not path.is_file():
            raise RunDirError(f"{folder} holds no run: it has no {MANIFEST}")
        try:
            content = _typed(Mapping[str, Any], json.loads(path.read_bytes()), "the file")
            version = _typed(int, content.get("format", cls.format), "format")
            if version < 1:
                raise ValueError(f"format is {version}, not a number from 1 to {FORMAT}")
            if version <= FORMAT:
                return cls.of(content)
        except (OSError, ValueError, RecursionError) as error:
            raise RunDirError(f"{path} is damaged: {error}") from error
        raise RunDirError(
            f"{path} is written by a newer version of ms-gan-callbacks (format {version}, this one reads {FORMAT})"
        )

    def write(self, folder: Path) -> None:
        """Write the manifest into a run's folder, in the format of today.

        Raises:
            RunDirError: the folder cannot be written to.
        """
        try:
            replace_file(folder / MANIFEST, to_json(dict(self.but().facts)))
        except OSError as error:
            raise RunDirError(f"cannot write to {folder}: {error.strerror or error}") from error

    def but(self, /, **changes: Any) -> Manifest:
        """Return a manifest in which some keys have other values."""
        return self.new(**{**self.facts, **changes})

    def noting(self, entry: Mapping[str, Any]) -> Manifest:
        """Return a manifest with one more entry at the end of its history."""
        return self.but(history=[*(dict(one.facts) for one in self.history), entry])

    def after(self, then: Manifest) -> Manifest:
        """Return this manifest for a run that goes on, with its start, its history and the keys unknown here."""
        forgotten = self.keys() - {"history"}
        kept = {name: value for name, value in then.facts.items() if name not in forgotten}
        return self.but(**{**kept, "started": then.started})

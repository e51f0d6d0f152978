"""Installs packages for a test, as importlib.metadata sees it: a dist-info folder and a module on sys.path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    site: Path,
    distribution: str,
    groups: Mapping[str, Mapping[str, str]],
    files: Mapping[str, str],
    version: str = "1.2",
) -> None:
    """Put a package into a folder.

    Args:
        site: the folder, which is on sys.path.
        distribution: the package's name.
        groups: its entry points: targets by name by kind, such as "callbacks".
        files: the text of its modules, by path.
        version: and its version.
    """
    folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    sections = (
        f"[ms_gan_callbacks.{kind}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for kind, entries in groups.items()
    )
    (folder / "entry_points.txt").write_text("\n".join(sections))
    (folder / "top_level.txt").write_text(
        "".join({Path(path).parts[0].removesuffix(".py") + "\n" for path in files})
    )
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)

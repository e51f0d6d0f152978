"""Extension of the API reference (mkdocs.yml): what static analysis does not see, and docstrings read as Markdown.

The package is read, not imported. Its public names are those that ``__init__.pyi`` imports.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

PACKAGE = "ms_gan_callbacks"
ROLE = re.compile(r":(?:class|meth|func|data|mod|attr|exc):`(~?)([\w.]+)`")
LITERAL = re.compile(r"^([ \t]*)(.*?)::$", re.MULTILINE)
# What only the library itself makes: its signature is nobody's business.
MADE_BY_US = ("events.run.Run", "events.progress.Progress", "training.result.RunResult")


class HouseStyle(griffe.Extension):
    """Finds what public names stand for; turns roles such as ``:class:`Run` `` into links."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Adapt the package once it is loaded."""
        if pkg.name != PACKAGE:
            return
        imported = {name: str(member.target_path) for name, member in pkg.members.items() if member.is_alias}
        public = {name for name, path in imported.items() if path.startswith(f"{PACKAGE}.")}
        for name in public:
            pkg.set_member(name, griffe.Alias(name, home_of(pkg, imported[name]), parent=pkg))
        for path in MADE_BY_US:
            pkg[path].decorators.clear()  # so that no __init__ is derived from its fields
        rewrite(pkg, public)


def home_of(pkg: griffe.Module, path: str) -> str:
    """Return where an imported name is defined: a function may be called like the module that it is in."""
    room, _, name = path.removeprefix(f"{PACKAGE}.").rpartition(".")
    return str(pkg[room].imports.get(name, path))


def rewrite(thing: griffe.Object, public: set[str]) -> None:
    """Rewrite the docstring of an object, and of all below it."""
    if thing.docstring:
        text = LITERAL.sub(lambda line: line[1] + (line[2] and f"{line[2]}:"), thing.docstring.value)
        thing.docstring.value = ROLE.sub(lambda role: linked(role[2], bool(role[1]), thing, public), text)
    for member in thing.members.values():
        if not member.is_alias:
            rewrite(member, public)


def linked(name: str, short: bool, thing: griffe.Object, public: set[str]) -> str:
    """Return a name as code, and as a link if the reference shows it."""
    owner = thing if thing.is_class else thing.parent
    if name.split(".", maxsplit=1)[0] in public:
        path = name
    elif owner is not None and owner.name in public and name in owner.members:
        path = f"{owner.name}.{name}"
    else:
        return f"`{name.rpartition('.')[2] if short else name}`"
    return f"[`{name}`][{PACKAGE}.{path}]"

"""Hook of mkdocs.yml: pages whose text lives outside of docs/, and links that lead there.

A link in the documentation is written as it works in a checkout. One that leaves docs/ would be dead in the site;
here it leads to a page that shows the file, to the page that stands for it, or, if it is a folder, to nothing::

    docs/recipes.md     ../recipes/mnist_mlp.py          the page source/recipes/mnist_mlp.py
    CHANGELOG.md        docs/quality.md                  the page quality.md
    docs/index.md       ../tests                         the bare words
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from ms_gan_callbacks.cli import main

ROOT = Path(__file__).parent.parent

# Files of the checkout, and the page that shows each; a page that is not in docs/ is made of the file.
PAGES = {
    "README.md": "index.md",
    "README.ja.md": "ja/quickstart.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
# Pages of the navigation that are made by a program, and may not have been made yet.
OPTIONAL = ("gallery.md",)

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^(```(?!`).*?^```$)", re.MULTILINE | re.DOTALL)
WORDS = re.compile(r"^(```\w+) .*")  # tests/test_docs.py reads them
SOURCE = "source/"
HELP = "<!-- the help of every command -->"


def on_config(config: MkDocsConfig) -> None:
    """Leave out of the navigation what does not exist."""
    missing = [name for name in OPTIONAL if not (ROOT / "docs" / name).exists()]
    config.nav = [without(entry, missing) for entry in config.nav or []]


def without(entry: Any, missing: Iterable[str]) -> Any:
    """Return an entry of the navigation without the missing pages below it."""
    if isinstance(entry, dict):
        [(title, below)] = entry.items()
        if isinstance(below, list):
            kept = [one for one in below if not (isinstance(one, dict) and {*one.values()} & {*missing})]
            return {title: kept}
    return entry


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages made of files outside of docs/, of notebooks, and of whatever the others link to."""
    for origin, name in PAGES.items():
        if (ROOT / origin).exists() and not files.get_file_from_path(name):
            files.append(File.generated(config, name, abs_src_path=str(ROOT / origin)))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = posixpath.splitext(file.src_uri)[0] + ".md"
        files.append(File.generated(config, name, content=as_markdown(file)))
    shown: dict[str, File] = {}
    for file in files.documentation_pages():
        for target in outside(file.src_uri, file.content_string):
            if target not in shown and (ROOT / target).is_file():
                text = (ROOT / target).read_text(encoding="utf-8", errors="replace")
                shown[target] = File.generated(
                    config, source_page(target), content=listing(target, text), inclusion=InclusionLevel.NOT_IN_NAV
                )
    for file in shown.values():
        files.append(file)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site; leave at a fence nothing but the language, which is all Markdown knows."""
    name = page.file.src_uri
    if name.startswith(SOURCE):
        return markdown
    parts = CODE.split(markdown)
    texts = [LINK.sub(lambda link: relinked(name, link), text) for text in parts[::2]]
    blocks = [WORDS.sub(r"\1", block) for block in parts[1::2]]
    text = "".join(part for pair in zip(texts, [*blocks, ""], strict=True) for part in pair)
    return text.replace(HELP, help_of_commands()) if HELP in text else text


def help_of_commands() -> str:
    """Return what the command and each of its subcommands print for --help, under a heading each."""
    ours = click.Context(main, info_name="ms-gan", terminal_width=90, **main.context_settings)
    every = [ours] + [
        click.Context(command, ours, info_name=name, terminal_width=90) for name, command in main.commands.items()
    ]
    return "\n".join(f"## {context.command_path}\n```text\n{context.get_help()}\n```\n" for context in every)


def origin_of(src_uri: str) -> str:
    """Return the path, in the checkout, of the file that a page is made of."""
    made_of = {name: origin for origin, name in PAGES.items() if not (ROOT / "docs" / name).exists()}
    return made_of.get(src_uri, f"docs/{src_uri}")


def target_of(src_uri: str, link: re.Match[str]) -> str:
    """Return the path, in the checkout, that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin_of(src_uri)), link[3]))


def outside(src_uri: str, markdown: str) -> Iterator[str]:
    """Yield the paths that a page links to, outside of docs/, and that no page stands for."""
    for part in CODE.split(markdown)[::2]:
        for link in LINK.finditer(part):
            target = target_of(src_uri, link)
            if not target.startswith(("docs/", "../")) and target not in PAGES:
                yield target


def relinked(src_uri: str, link: re.Match[str]) -> str:
    """Return a link of a page as it works in the site."""
    target = target_of(src_uri, link)
    if (ROOT / target).is_dir():
        return link[2]
    if target in PAGES:
        name = PAGES[target]
    elif target.startswith("docs/"):
        name = target.removeprefix("docs/")
        if name != notebook_of(src_uri):  # the page of a notebook offers the notebook itself
            name = re.sub(r"\.ipynb$", ".md", name)
    else:
        name = source_page(target)
    path = posixpath.relpath(name, posixpath.dirname(src_uri) or ".")
    return f"{link[1]}[{link[2]}]({path}{link[4] or ''})"


def notebook_of(src_uri: str) -> str:
    """Return the name of the notebook that a page is made of, if it is made of one."""
    return posixpath.splitext(src_uri)[0] + ".ipynb"


def source_page(target: str) -> str:
    """Return the name of the page that shows a file of the checkout."""
    return f"{SOURCE}{target}.md"


def listing(target: str, text: str) -> str:
    """Return a page that shows a file."""
    language = {".py": "python", ".md": "markdown", ".json": "json", ".cfg": "ini"}.get(
        Path(target).suffix, "text"
    )
    return f"# {target}\n\n````{language}\n{text.rstrip()}\n````\n"


def as_markdown(notebook: File) -> str:
    """Return a notebook as a page: text, code, and what the code has put out."""
    name = posixpath.basename(notebook.src_uri)
    parts = []
    for cell in json.loads(notebook.content_string)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            parts += shown(cell["outputs"])
    title, *rest = parts
    return "\n\n".join([title, f"*The notebook itself: [{name}]({name}).*", *rest]) + "\n"


def shown(outputs: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield what a cell has put out: pictures, and the text between two of them in one piece."""
    text = ""
    for output in [*outputs, {"data": {"image/png": ""}}]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" not in data:
            text += "".join(data["text/plain"]).rstrip() + "\n"
            continue
        if text.strip():
            yield f"```text\n{text.strip()}\n```"
            text = ""
        if picture := "".join("".join(data["image/png"]).split()):
            yield f"![What the cell above drew](data:image/png;base64,{picture})"

"""Whatever the documentation shows is run: Python as one program a page, recipes from their files, commands.

How a page is read::

    ```python              executed, all blocks of a page in order, in one namespace
    # my_gan.py            (as its first line) written to that file; a recipe is loaded and trained on a few images
    statement  # SomeError: what it says    in a python block, at the end of a statement or in the lines below it:
                           it raises that, or warns so where it is a GanWarning, "..." standing for any text
    ```python no-run       not executed; every such block has its reason in NOT_RUN
    ```text output         what the Python block before it prints, exactly
    ```console             "$ ms-gan ..." is parsed, and run where it names a file of the page; lines below it
                           are found in its output, in their order, "..." standing for any others
    ```bash, ```sh         every "ms-gan ..." is parsed

Functions named ``test_*`` that a page defines are called with a folder of their own.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from conftest import RECIPE, ROOT, compiled_players

import ms_gan_callbacks.testing
from ms_gan_callbacks import ArraySource, Event, GanWarning, Recipe, Runner, Source, load_recipe
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.data.columns import take_columns, take_images
from ms_gan_callbacks.data.stored import ColumnSource

PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("README*.md"), *ROOT.glob("examples/*/README.md")])
# What shows the same blocks as another page, in another language: they are run once.
TRANSLATIONS = {"README.ja.md": "README.md", "docs/ja/quickstart.md": "docs/index.md"}
# Page and first line of a block: why it cannot run.
NOT_RUN = {
    ("docs/migrate.md", "# Before: MindSpore's tutorial, in short"): "without its data set",
    ("docs/migrate.md", "# Before: MindSpore's pix2pix, in short"): "without its data set",
    ("docs/migrate.md", "# Before: MindSpore's CycleGAN, in short"): "without its data set",
    ("docs/migrate.md", "# Before: the generator first, a line for every batch"): "in outline",
    ("docs/migrate.md", "# Before: Keras, a model that trains itself and a callback that draws"): "needs Keras",
    ("docs/scale.md", "# A script for msrun: every rank executes it"): "needs several processes",
    ("docs/migrate.md", "# Before: Lightning, manual optimization with two optimizers"): "needs Lightning",
    ("docs/export.md", "# In MindSpore"): "without the file",
    ("docs/export.md", "# In onnxruntime"): "needs onnxruntime",
    ("docs/export.md", "# In PyTorch"): "needs PyTorch",
    ("docs/export.md", "# In a network with the same layers"): "needs PyTorch",
}

BLOCK = re.compile(r"^```(\w*) ?(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")
CLAIM = re.compile(r"# (\w+(?:Error|Warning)): (.+)$")
SHELLS = ("console", "bash", "sh", "shell")


def called(page: Path) -> str:
    """Return a page's name: its path in the checkout."""
    return page.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=called)
originals = [page for page in PAGES if called(page) not in TRANSLATIONS]
LONG = (
    "README.md",
    "docs/callbacks.md",
    "docs/games.md",
    "docs/migrate.md",
    "docs/plugins.md",
    "docs/recipes.md",
)  # they train a good deal
each_original = pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if called(page) in LONG else ()) for page in originals],
    ids=called,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after it, its text and the line where that begins."""

    language: str
    words: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file a Python block stands for, if it stands for one."""
        named = FILE.match(self.text)
        return named[1] if named and self.language == "python" else None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(*found.groups(), text.count("\n", 0, found.start(3)) + 1) for found in BLOCK.finditer(text)]


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield every command of a shell block with the lines of output shown below it."""
    if block.language != "console":
        for line in block.text.replace("\\\n", " ").splitlines():
            yield line, []
        return
    for part in re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, *output = part.splitlines()
        yield command, output


def ms_gan_arguments(command: str) -> Iterator[list[str]]:
    """Yield the arguments of every ``ms-gan`` in a line of shell, whatever is chained around it."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for token in [*lexer, ";"]:
        if set(token) <= set(";|&()"):
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words and Path(words[0]).name == "ms-gan":
                yield words[1:]
            words = []
        else:
            words.append(token)


def check_parses(arguments: list[str]) -> None:
    """Fail unless the command line knows the command and its options."""
    with contextlib.suppress(click.exceptions.Exit), contextlib.redirect_stdout(io.StringIO()):
        context = main.make_context("ms-gan", list(arguments))
        rest = [*context._protected_args, *context.args]
        name, command, rest = main.resolve_command(context, rest)
        assert command is not None
        command.make_context(name, rest, parent=context)


def statements(text: str) -> Iterator[tuple[ast.Module, str]]:
    """Yield the statements of a block, each with what a comment behind or below it claims that it raises."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        claim = CLAIM.search(lines[node.end_lineno - 1])
        below = list(takewhile(lambda line: line.startswith("#"), lines[node.end_lineno :]))
        if not claim and below:
            claim = CLAIM.match(below[0])
        more = below if claim and claim.string not in below else below[1:]
        said = "" if not claim else " ".join([claim[0][2:], *(line.lstrip("# ") for line in more)])
        yield ast.Module([node], []), said


@contextlib.contextmanager
def expected(claim: str) -> Iterator[None]:
    """Fail unless what is done within raises, or warns of, what is claimed; a warning ends it, too."""
    name, said = claim.split(": ", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GanWarning)
        try:
            yield
        except Exception as error:
            pattern = ".*".join(re.escape(part.strip()) for part in said.split("..."))
            assert type(error).__name__ == name, f"{claim!r}, but it was {error!r}"
            assert re.search(pattern, str(error), re.DOTALL), f"{claim!r}, but it said: {error}"
        else:
            raise AssertionError(f"nothing was raised: {claim!r}")


def few_images(recipe: Recipe) -> Source:
    """Return as few of a recipe's images as it can train on."""
    source = recipe.data()
    if recipe.game is not None:
        taken = take_columns(source, min(4, source.steps_per_epoch) * source.batch_size)
        return ColumnSource(taken, source.batch_size, name="few", paired=True)
    count = recipe.evaluate_samples if recipe.metrics else 4 * source.batch_size
    return ArraySource(take_images(source, count), source.batch_size)


class Program:
    """A page as the program that its blocks make up."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.module = ModuleType(f"page_{page.stem.lower()}")
        # MindSpore compiles from source text: a file in which every block has the lines it has in the page.
        self.source = folder / f"{self.module.__name__}.py"
        self.module.__file__ = str(self.source)
        self.printed = ""
        self.files: set[str] = set()

    def run(self) -> None:
        found = blocks(self.page)
        lines = [""] * self.page.read_text(encoding="utf-8").count("\n")
        for block in found:
            if block.language == "python" and not block.file:
                lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines()
        self.source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for block in found:
            try:
                self.take(block)
            except BaseException as error:
                raise AssertionError(f"{called(self.page)}, block at line {block.line}: {error!r}") from error
            runners = [value for value in vars(self.module).values() if isinstance(value, Runner)]
            compiled_players.free_all(but=[runner._players for runner in runners])

    def take(self, block: Block) -> None:
        if (block.language, block.words) == ("text", "output"):
            assert self.printed.splitlines() == block.text.splitlines()
        elif block.file:
            self.write(block.file, block.text)
        elif block.language == "python" and "no-run" not in block.words.split():
            self.execute(block)
        elif block.language == "console":
            for command, output in commands(block):
                for arguments in ms_gan_arguments(command):
                    if self.files & {Path(argument).name for argument in arguments}:
                        self.call(arguments, output)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")
        self.files.add(name)
        if "def recipe(" in text:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", GanWarning)  # about schedules that suit the recipe's own length
                recipe = load_recipe(name)
                result = Runner.from_recipe(recipe, f"trained-{name}").train(1, few_images(recipe), quiet=True)
            assert result.epoch == 1
            assert not result.faults

    def execute(self, block: Block) -> None:
        before = set(vars(self.module))
        text = "\n" * (block.line - 1) + block.text
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for part, claim in statements(text):
                code = compile(part, self.source, "exec", dont_inherit=True)
                with expected(claim) if claim else contextlib.nullcontext():
                    exec(code, vars(self.module))
            for name in [name for name in vars(self.module) if name.startswith("test_") and name not in before]:
                folder = self.folder / name
                folder.mkdir()
                getattr(self.module, name)(folder)
        self.printed = printed.getvalue()

    def call(self, arguments: list[str], expected: list[str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always", GanWarning)
            result = CliRunner().invoke(main, arguments)
        fails = any(line.startswith("Error:") for line in expected)
        assert (result.exit_code != 0) == fails, result.output
        shown = iter([" ".join(line.split()) for line in result.output.splitlines()])
        for line in expected:
            if line.strip() != "...":
                assert " ".join(line.split()) in shown, f"{line!r} is not (or not there) in:\n{result.output}"


@each_original
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MS_OM_PATH", str(tmp_path))
    shutil.copytree(RECIPE.parent, tmp_path / "recipes", ignore=shutil.ignore_patterns("__pycache__"))
    program = Program(page, tmp_path)
    monkeypatch.setitem(sys.modules, program.module.__name__, program.module)
    program.run()


@each_page
def test_every_ms_gan_command_of_a_page_parses(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line puts its own there
    for block in blocks(page):
        if block.language in SHELLS:
            for command, _ in commands(block):
                for arguments in filter(None, ms_gan_arguments(command)):
                    try:
                        check_parses(arguments)
                    except click.ClickException as error:
                        pytest.fail(
                            f"{called(page)}, block at line {block.line}: {command}: {error.format_message()}"
                        )


@each_page
def test_every_fence_of_a_page_is_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(blocks(page)), "a fence is left open"
    assert not re.search(r"^[ \t]+```(python|console|bash|sh)", text, re.MULTILINE), "an indented block is not run"


@each_page
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), f"{called(page)} leads to {link}"


@pytest.mark.parametrize(("translation", "original"), TRANSLATIONS.items())
def test_a_translation_shows_the_same_code_and_both_lead_to_each_other(translation: str, original: str) -> None:
    def code(page: str) -> list[tuple[str, str, str]]:
        found = blocks(ROOT / page)
        return [(block.language, block.words, block.text) for block in found if block.language != "text"]

    assert code(translation) == code(original)
    for page, other in ((translation, original), (original, translation)):
        folder = (ROOT / page).parent
        links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
        assert (ROOT / other) in {(folder / link).resolve() for link in links}, f"{page} does not lead to {other}"


def test_what_a_comment_claims_is_found_and_held_against_what_happens() -> None:
    block = (
        "int('x')  # ValueError: invalid literal ... 'x'\n"
        "x = 1  # an Error, in words\n"
        "int(\n    'y'\n)\n# ValueError: invalid\n# literal\n"
    )
    claims = [claim for _, claim in statements(block)]
    assert claims == ["ValueError: invalid literal ... 'x'", "", "ValueError: invalid literal"]
    with expected(claims[0]):
        int("x")
    with expected("GanWarning: look ... out"):
        warnings.warn("look to it, out there", GanWarning, stacklevel=1)
    for wrong in (lambda: int("z"), lambda: None, lambda: {}["invalid literal 'x'"]):
        with pytest.raises(AssertionError), expected(claims[0]):
            wrong()


def test_every_test_that_a_page_names_is_there() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for path in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{called(page)} names {path}"


def test_every_promise_names_a_test_that_proves_it() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    promised = text.partition("## Promised")[2].partition("## Not promised")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    for row in rows:
        assert re.search(r"`tests/[\w/]+\.py`", row.split(" | ")[-1]), row


def test_blocks_that_do_not_run_have_a_reason() -> None:
    skipped = {
        (called(page), block.text.splitlines()[0])
        for page in PAGES
        for block in blocks(page)
        if block.language == "python" and "no-run" in block.words.split()
    }
    assert skipped == set(NOT_RUN)


@pytest.mark.parametrize(
    "package", [ms_gan_callbacks, ms_gan_callbacks.testing], ids=lambda package: package.__name__
)
def test_the_reference_shows_every_public_name_once(package: ModuleType) -> None:
    line = re.compile(rf"^::: {package.__name__}\.(\w+)$", re.MULTILINE)
    shown = [
        name for page in ROOT.glob("docs/api/*.md") for name in line.findall(page.read_text(encoding="utf-8"))
    ]
    assert sorted(shown) == sorted(package.__all__), "add its line, ::: <package>.<name>, to a page of docs/api"


def test_the_recipes_that_come_along_are_listed() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    listed = re.findall(r"\[(\w+)\]\(\.\./recipes/\1\.py\)", text)
    assert sorted(listed) == sorted(path.stem for path in RECIPE.parent.glob("[!_]*.py"))


def test_the_loop_is_drawn_with_every_event() -> None:
    concepts = ROOT / "docs" / "concepts.md"
    [drawing] = [block.text for block in blocks(concepts) if "on_train_begin" in block.text]
    table = re.findall(r"^\| `(on_\w+)` \|", concepts.read_text(encoding="utf-8"), re.MULTILINE)
    assert {event.value for event in Event} == set(re.findall(r"on_\w+", drawing)) == set(table)

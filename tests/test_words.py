"""Documentation and code use plain English: discouraged expressions are reported with a replacement.

To check more files, add a pattern to ``PLACES``. In Markdown the prose is checked, without code blocks and inline
code; in Python files, string literals and comments.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

PLACES = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "examples/*/README.md",
    "examples/ms-gan-ink/ms_gan_ink/*.py",
    "ms_gan_callbacks/**/*.py",
    "recipes/*.py",
]
GENERATED = ["docs/compatibility.md", "docs/gallery.md"]


@dataclass(frozen=True)
class Expression:
    """A discouraged expression.

    Attributes:
        pattern: a regular expression, in which a space matches any white space.
        instead: what to write.
        example: a sentence in which it is found.
    """

    pattern: str
    instead: str
    example: str

    def find(self, text: str) -> Iterator[re.Match[str]]:
        return re.finditer(self.pattern.replace(" ", r"\s+"), text, re.MULTILINE)


EXPRESSIONS = [
    Expression(
        r"\b([Nn]obody|[Ss]omebody|[Ee]verybody|[Ww]hoever|[Nn]o one)\b",
        "the component: 'the run', 'a callback', 'all callbacks'; or the passive",
        "A checkpoint goes when nobody wants it any more.",
    ),
    Expression(
        r"\b(has|have) not(?=\s*[.,;:)]|\s*$| (an?|any|the|such)\b)",
        "'does not have'",
        "ImageGrid needs what a Model has not.",
    ),
    Expression(
        r"(?<!there\s)(?<!There\s)\b(is|are|was) no\b(?! longer)",
        "'is not a', 'is not'",
        "That is no metric.",
    ),
    Expression(r"\b[Ll]ikewise\b", "the entry itself, or 'the same'", "| mnist_dcgan | likewise |"),
    Expression(r"\bWhat [a-z]", "the noun: 'Unknown names are an error'", "What is refused is named."),
    Expression(
        r"[;:,] what (is|are|was|it|they|does|did)\b",
        "the noun: 'unknown names'",
        "The run ends; what is broken is not saved.",
    ),
    Expression(
        r"\b(an?|one) [\w-]+( (?!in |of |for |as |to |on |at |by |with |and |or |from |is |per |within )[\w-]+)?"
        r" an? (line|column|row|step|epoch|class|directory|folder|command)\b",
        "'one ... per line'",
        "The log has one JSON object a line.",
    ),
    Expression(
        r"\b(steps|times|once|twice|ms|us|s|seconds|images|writes) an? (line|column|step|epoch|second|minute)\b",
        "'... per step'",
        "The generator runs once a step.",
    ),
    Expression(
        r"\b(every|in) so (many|often)\b",
        "'every N steps', 'on a schedule'",
        "The generator is updated in every so many steps.",
    ),
    Expression(
        r"\b([Tt]old|[Tt]ells?|[Hh]ears?)\b",
        "'is called', 'receives', 'reports', 'lists'",
        "Callbacks are told in ascending order.",
    ),
    Expression(
        r"\b(run|runs|loop|bus|file|folder|recipe|callback|metric|message|line|loss|losses|table|page|test)"
        r" (says?|wants?|knows?|thinks?|asks?|answers?|believes?)\b",
        "what happens: 'a warning names', 'is recorded in', 'contains'",
        "The run says so before it starts.",
    ),
    Expression(
        r"\b[Tt]hinks?\b", "'estimates', 'outputs'", "D(x) is how real the discriminator thinks digits are."
    ),
    Expression(r"\b[Ww]ish(es)?\b", "'request'", "A run takes three wishes: log, stop, save."),
    Expression(
        r"\bof (ours|yours|theirs|(your|its|one's|their) own)\b",
        "'custom', 'separate', 'this package's', 'user'",
        "Write a callback of your own.",
    ),
    Expression(
        r"\b([Gg]oes on|[Gg]o on|[Gg]oing on|[Ww]ent on|gone on)\b",
        "'continue', 'resume'",
        "The run goes on from its newest checkpoint.",
    ),
    Expression(
        r"\bnever ended\b|\bas if nothing had\b",
        "'as if it had not been interrupted', 'an uninterrupted run'",
        "It resumes as if it had never ended.",
    ),
    Expression(r"\bcomes? along\b", "'built-in', 'included'", "Nine recipes come along."),
    Expression(r"\bby script\b", "'simulated'", "Drive a callback through a run by script."),
    Expression(r"\bor not at all\b", "'atomically'", "Files are there whole or not at all."),
    Expression(
        r"\b[Dd]ice\b",
        "'random', 'randomness', 'noise'",
        "The dice are a function of the seed.",
    ),
    Expression(r"\b([Aa]fresh|[Aa]new)\b", "'again', 'reset'", "The means start afresh."),
    Expression(r"\bput back\b", "'reset', 'restored'", "What cannot be put back is an error."),
    Expression(
        r"\b(gets?|got|getting|become|became) (no )?better\b",
        "'improves', 'no longer improves'",
        "It stops when fld gets no better.",
    ),
    Expression(
        r"\bthe (lower|higher) the better\b", "'lower is better'", "It is a distance, the lower the better."
    ),
    Expression(r"\b[Jj]udge[sd]?\b", "'evaluate', 'score'", "The generator is judged by its samples."),
    Expression(
        r"(^|[.;:,] )([Ss]o|[Nn]or|[Nn]either) (is|are|do|does|has|have|can|will)\b",
        "a sentence with its subject first",
        "Networks stay. So do open files.",
    ),
    Expression(r"\bbut for\b", "'except'", "All resume to the bit, but for RMSProp."),
    Expression(r"\bnothing but\b", "'only'", "On a machine with nothing but Python."),
    Expression(
        r"\b[Bb]eside\b", "'next to', 'compared with', 'in addition to'", "Numbers stand beside their floor."
    ),
    Expression(
        r"\b[Ww]here (nothing|none|no|it is|they are|there is|there are|that is|this is)\b",
        "'if'",
        "Where nothing wins both are 0.5.",
    ),
    Expression(r"\bas ever\b|\bof old\b", "'as usual', 'earlier'", "Averages move as ever."),
    Expression(r"\b[Cc]itizen\b|\bworld\b", "'interoperability'", "A citizen of MindSpore's world."),
    Expression(r"^#+ .*\?$", "a heading that is a noun or an imperative", "## Will it ever fire?"),
    Expression(
        r"^#+ .*\b(is|are|was|were|happens?)\b.*$",
        "a heading that is a noun or an imperative",
        "## Losses are not enough",
    ),
]

CODE = re.compile(r"^```.*?^```$|(`+)(?:(?!\n\n).)+?\1|\]\([^)\s]*\)|<!--.*?-->", re.MULTILINE | re.DOTALL)


def blank(text: str) -> str:
    """Return as many characters that no expression matches, in the same lines."""
    return re.sub(r"[^\n]", "\N{SECTION SIGN}", text)


def prose_of_markdown(text: str) -> str:
    return CODE.sub(lambda found: blank(found[0]), text)


def prose_of_python(text: str) -> str:
    """Return the string literals and comments of a module in their lines, everything else as blanks."""
    kept = [tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)]
    code = re.sub(r"\b[bfruBFRU]{1,2}(?=[\"'])|[\"']", lambda found: " " * len(found[0]), text)
    lines = re.sub(r"\S", "\N{SECTION SIGN}", code).split("\n")  # an f-string's expressions separate its parts
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in kept:
            continue
        content = re.sub(
            r"^\w*(\"\"\"|'''|[\"'])|(\"\"\"|'''|[\"'])$|^#", lambda found: " " * len(found[0]), token.string
        )
        for number, line in enumerate(content.split("\n"), token.start[0] - 1):
            column = token.start[1] if number == token.start[0] - 1 else 0
            lines[number] = lines[number][:column] + line + lines[number][column + len(line) :]
    return prose_of_markdown("\n".join(lines))


def files() -> list[Path]:
    found = {path for place in PLACES for path in ROOT.glob(place)}
    return sorted(found - {ROOT / name for name in GENERATED})


def findings(text: str, name: str) -> list[str]:
    """Return a line for each discouraged expression: where it is, what it is, and the replacement."""
    prose = prose_of_python(text) if name.endswith(".py") else prose_of_markdown(text)
    return [
        f"{name}:{prose.count(chr(10), 0, found.start()) + 1}: {' '.join(found[0].split())!r} "
        f"({expression.pattern}); write {expression.instead}"
        for expression in EXPRESSIONS
        for found in expression.find(prose)
    ]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documentation_is_plain_english(path: Path) -> None:
    found = findings(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.pattern)
def test_each_expression_is_found_in_its_example(expression: Expression) -> None:
    assert list(expression.find(prose_of_markdown(expression.example)))
    found = findings(f"Title\n\n{expression.example}\n", "page.md")
    assert {line.partition(": ")[0] for line in found} == {"page.md:3"}


def test_a_finding_has_its_line_the_expression_and_the_replacement() -> None:
    [finding] = findings("# Title\n\nA run goes\n  on.\n", "page.md")
    assert finding.startswith("page.md:3: 'goes on' (")
    assert finding.endswith("write 'continue', 'resume'")


def test_code_and_links_are_not_checked() -> None:
    page = "Text `nobody` and\n\n```python\nnobody = 1\n```\n\n[link](nobody.md) [anchor](#likewise)\n"
    assert findings(page, "page.md") == []
    assert len(findings(page + "nobody\n", "page.md")) == 1


def test_strings_and_comments_of_python_files_are_checked() -> None:
    module = 'nobody = 1  # whoever\nlikewise = f"nobody"\n"""A\n\nsomebody."""\n'
    found = [line.split(" (")[0] for line in findings(module, "module.py")]
    assert found == ["module.py:1: 'whoever'", "module.py:2: 'nobody'", "module.py:5: 'somebody'"]


def test_the_parts_of_an_f_string_are_not_joined_and_adjacent_strings_are() -> None:
    assert findings('a = f"it is {name if name else 1} no, {3}"\n', "module.py") == []
    assert len(findings('a = (\n    f"{name} is "\n    f"no name"\n)\n', "module.py")) == 1


def test_generated_pages_are_not_checked() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {"README.md", "docs/api/index.md", "docs/callbacks.md"} <= names
    assert not names & set(GENERATED)
    assert all((ROOT / name).is_file() for name in GENERATED)

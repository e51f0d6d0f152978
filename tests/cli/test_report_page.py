"""``ms-gan report``: one page that holds everything, loads nothing, and shows no text of a run unescaped."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.test_animate import WITH_GRIDS
from cli.test_resume_command import ms_gan, trained

VOID = {"meta", "img", "input", "br", "link"}
EVALUATION = {
    "step": 10,
    "samples": 500,
    "features": "lenet",
    "real": "digits",
    "values": {"generator": {"fld": 7.25, "kid": 0.5}, "real": {"fld": 0.125}, "one digit": {"fld": 109.0}},
    "noise": {"fld": 0.1875},
}
HOSTILE = "</script><script>alert(1)</script><b onclick='x'>$\\frac{&amp;"


class Page(HTMLParser):
    """The elements of a page, and the text of each; fails if an element is closed that is not open."""

    def __init__(self, path: str = "report.html") -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(Path(path).read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(" ".join(data.split()))

    def join_texts(self) -> str:
        return " ".join(text for texts in self.texts.values() for text in texts)

    def list_images(self) -> list[Image.Image]:
        sources = [attributes["src"] for tag, attributes in self.found if tag == "img"]
        return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(WITH_GRIDS, tmp_path_factory.mktemp("report"))


@pytest.fixture
def run_dir(once: Path) -> Path:
    shutil.copytree(once, ".", dirs_exist_ok=True)
    return Path("runs/one")


def report(run_dir: Path, *arguments: str) -> Page:
    result = ms_gan("report", str(run_dir), "--overwrite", *arguments)
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"report of 0\.\d MB: report\.html\n", result.stdout)
    return Page()


def test_the_page_shows_the_grids_curves_and_settings_of_the_run(run_dir: Path) -> None:
    page = report(run_dir, "--no-evaluation")
    for image, name in zip(page.list_images(), ("epoch-0001.png", "epoch-0002.png"), strict=True):
        saved = Image.open(run_dir / "samples" / name)
        np.testing.assert_array_equal(np.asarray(image.convert("L")), np.asarray(saved))
    assert page.texts["h3"] == ["losses", "discriminator output"]
    data = [json.loads(text) for text in page.texts["script"] if text.startswith("{")]
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    means = [line["epoch_means"]["d_loss"] for line in lines if "epoch_means" in line]
    assert data[0]["series"][0]["y"] == pytest.approx(means, rel=1e-5)
    assert data[0]["series"][0]["x"] == [5, 10]
    text = page.join_texts()
    for part in (
        "learning_rate",
        "NonSaturating",
        "ms-gan run tiny.py",
        "--set learning_rate=0.01",
        "not evaluated",
    ):
        assert part in text
    assert "--set 'shape=(1, 4, 4)'" in text
    [recipe] = [code for code in page.texts["code"] if "class Generator" in code]
    assert " ".join(WITH_GRIDS.split()) == recipe
    assert "MetricsLog" in text, "the time of each callback"


def test_the_page_loads_nothing_and_forbids_it(run_dir: Path) -> None:
    page = report(run_dir, "--no-evaluation")
    for tag, attributes in page.found:
        assert tag not in ("link", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset", "style"):
            assert not re.search(r"(?:^|[(\s'\"])(?:\w+:)?//", attributes.get(name, "")), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)", Path("report.html").read_text())
    [policy] = [one["content"] for tag, one in page.found if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_text_of_a_run_is_escaped_wherever_it_comes_from(run_dir: Path) -> None:
    clean = report(run_dir, "--no-evaluation")
    facts = json.loads((run_dir / "run.json").read_text())
    facts |= {"objective": HOSTILE, "cpu": HOSTILE, "recipe": HOSTILE, "git_revision": HOSTILE}
    facts["arguments"] = {HOSTILE: HOSTILE}
    facts["data"]["name"] = facts["versions"][HOSTILE] = HOSTILE
    facts["timings"][0]["callbacks"][HOSTILE] = 1.0
    facts["evaluation"] = {"samples": 10, "features": HOSTILE, "floors": {HOSTILE: 0.5}}
    (run_dir / "run.json").write_text(json.dumps(facts))
    with (run_dir / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"step": 10, "epoch": 2, HOSTILE: 3.0}) + "\n")
    with (run_dir / "recipe.py").open("a") as recipe:
        recipe.write(f"# {HOSTILE}\n")
    values = {"generator": {HOSTILE: 1.0}, HOSTILE: {HOSTILE: 2.0}}
    Path("evil.json").write_text(
        json.dumps({**EVALUATION, "values": values, "features": HOSTILE, "real": HOSTILE})
    )
    run_dir.rename("runs/<b>run")
    page = report(Path("runs/<b>run"), "--evaluation", "evil.json")
    assert page.texts["h1"] == ["<b>run"]
    assert not [attributes for _, attributes in page.found if "onclick" in attributes]
    count = {
        kind: [tag for tag, _ in one.found].count("script") for kind, one in (("clean", clean), ("evil", page))
    }
    assert count["evil"] == count["clean"] + 1, "one more chart"
    assert not [text for text in page.texts["script"] if text.startswith("alert")]
    assert page.texts["h3"][-1] == " ".join(HOSTILE.split())


def test_an_evaluation_is_shown_as_it_was_stored(run_dir: Path) -> None:
    (run_dir / "evaluation.json").write_text(json.dumps(EVALUATION))
    page = report(run_dir)
    assert page.texts["td"][: 2 * 4] == ["7.25", "0.1875", "0.1250", "109", "0.5000", *page.texts["td"][5:8]]
    text = page.join_texts()
    assert "500 images of step 10, compared with 500 images of digits; features lenet." in text
    assert {"fld\N{NO-BREAK SPACE}\N{DOWNWARDS ARROW}".replace("\N{NO-BREAK SPACE}", " "), "one digit"} <= {
        *page.texts["th"]
    }


@pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")
def test_an_evaluation_of_an_earlier_checkpoint_is_not_used_unless_it_is_named(run_dir: Path) -> None:
    stored = run_dir / "evaluation.json"
    stored.write_text(json.dumps({**EVALUATION, "step": 5}))
    assert "images of step 5" not in report(run_dir).join_texts()
    assert "500 images of step 5," in report(run_dir, "--evaluation", str(stored)).join_texts()


@pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")
def test_a_run_that_cannot_be_evaluated_is_reported_without(run_dir: Path) -> None:
    result = ms_gan("report", str(run_dir))
    assert result.exit_code == 0, result.stderr
    [line] = result.stderr.splitlines()
    assert line.startswith("Warning: ")
    assert line.endswith("; the report does not contain an evaluation")
    assert "The generator was not evaluated: " in Path("report.html").read_text()
    shutil.rmtree(run_dir / "checkpoints")
    shutil.rmtree(run_dir / "samples")
    (run_dir / "metrics.jsonl").unlink()
    assert ms_gan("report", str(run_dir)).stdout.endswith("report-2.html\n")
    text = Path("report-2.html").read_text()
    assert "does not contain image grids" in text
    assert "has not logged any values" in text


def test_many_large_grids_still_make_a_file_to_mail(run_dir: Path) -> None:
    random, log = np.random.default_rng(0), run_dir / "metrics.jsonl"
    lines = [{"step": 5 * epoch, "epoch": epoch, "epoch_means": {"d_loss": 1.0}} for epoch in range(1, 51)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    noise = Image.fromarray(random.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    noise.save(run_dir / "samples" / "epoch-0001.png")
    for epoch in range(2, 51):
        shutil.copy(run_dir / "samples/epoch-0001.png", run_dir / f"samples/epoch-{epoch:04d}.png")
    result = ms_gan("report", str(run_dir), "--no-evaluation")
    assert result.exit_code == 0, result.stderr
    page = Page()
    assert len(page.list_images()) == 40
    titles = [text for text in page.texts["figcaption"] if text.startswith("epoch")]
    assert (titles[0], titles[-1]) == ("epoch 1", "epoch 50")
    assert Path("report.html").stat().st_size < 3_500_000


MISTAKES = {
    "no such folder": (["runs/two"], "run directory not found: runs/two"),
    "no run": (["runs"], "runs is not a run directory: it has no run.json"),
    "another ending": (["runs/one", "-o", "a.pdf"], "a.pdf must end in .html or .htm"),
    "no such evaluation": (["runs/one", "--evaluation", "none.json"], "none.json cannot be read"),
    "no JSON": (["runs/one", "--evaluation", "tiny.py"], "tiny.py is not an evaluation"),
    "another JSON": (["runs/one", "--evaluation", "runs/one/run.json"], "step is missing or has another type"),
    "both": (["runs/one", "--evaluation", "a", "--no-evaluation"], "are both given"),
    "no such checkpoint": (["runs/one", "--checkpoint", "7"], "there is no checkpoint"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_file(kind: str, run_dir: Path) -> None:
    arguments, message = MISTAKES[kind]
    before = sorted(Path().rglob("*"))
    result = ms_gan("report", *arguments)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert message in line
    assert sorted(Path().rglob("*")) == before


def test_a_damaged_log_is_one_line(run_dir: Path) -> None:
    for content in ("nonsense\n", '{"step": 1, "epoch": 1, "d_loss": "high"}\n', '{"epoch": 1}\n', "[1]\n"):
        (run_dir / "metrics.jsonl").write_text(content)
        result = ms_gan("report", str(run_dir), "--no-evaluation")
        [line] = result.stderr.splitlines()
        assert result.exit_code == 2
        assert "metrics.jsonl is damaged" in line
    assert not Path("report.html").exists()

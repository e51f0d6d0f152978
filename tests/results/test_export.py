"""Exported generators make the images of the run, in MindSpore, onnxruntime and PyTorch, at any batch size.

Tests of ONNX and PyTorch are slow ones: only for these does CI install the extras.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import ROOT
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks import GanError, UsageError
from ms_gan_callbacks.data.images import to_uint8
from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.results.export.files import ExportedFile, export
from ms_gan_callbacks.results.inference import Trained
from results.untrained import SMALL, make_run

pytestmark = pytest.mark.fresh_players  # a cell that was exported before is exported as it was then

Arrays = Mapping[str, NDArray[Any]]
COLUMNS: dict[str, dict[str, tuple[int, ...]]] = {
    "mnist_pix2pix": {"source": (1, 28, 28)},
    "mnist_cyclegan": {"a": (3, 28, 28), "b": (3, 28, 28)},
    "folder_pix2pix": {"source": (3, 32, 32)},
    "folder_cyclegan": {"a": (3, 32, 32), "b": (3, 32, 32)},
}
ENDINGS = (".mindir", ".onnx", ".safetensors")


def require(ending: str) -> None:
    for package in {".mindir": (), ".onnx": ("onnx", "onnxruntime"), ".safetensors": ("onnx", "torch")}[ending]:
        pytest.importorskip(package)


def run_mindir(path: Path, arrays: Arrays) -> NDArray[Any]:
    with graph_mode():
        cell = nn.GraphCell(ms.load(str(path)))
        return cell(*map(Tensor, arrays.values())).asnumpy()


def run_onnx(path: Path, arrays: Arrays) -> NDArray[Any]:
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(None, dict(arrays))[0]


def run_torch(path: Path, arrays: Arrays) -> NDArray[Any]:
    import torch

    spec = importlib.util.spec_from_file_location(path.stem, path.with_suffix(".py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.no_grad():
        return module.load()(*map(torch.from_numpy, arrays.values())).numpy()


RUN: dict[str, Callable[[Path, Arrays], NDArray[Any]]] = {
    ".mindir": run_mindir,
    ".onnx": run_onnx,
    ".safetensors": run_torch,
}


def write(trained: Trained, name: str, **options: Any) -> tuple[Path, ExportedFile]:
    """Write a file in the working directory, with its module if it has one."""
    file, path = export(trained, name, **options), Path(name)
    path.write_bytes(file.content)
    if file.listing is not None:
        path.with_suffix(".py").write_bytes(file.listing)
    return path, file


def sample(trained: Trained, name: str) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Return inputs of 64 images by name, and the images, by the ways that commands use."""
    shapes, random = COLUMNS.get(name, {}), np.random.default_rng(1)
    columns = {one: random.uniform(-1, 1, (64, *shape)).astype(np.float32) for one, shape in shapes.items()}
    if trained.recipe.game is None:
        inputs = {"noise": trained.noise(64)}
        if trained.recipe.classes:
            inputs["labels"] = np.arange(64, dtype=np.int32) % 10
        return inputs, trained.generate(**inputs)
    game = trained._players.game
    chance = {one: game.chance[one] for one in game.get_inputs("make") if one in game.chance}
    drawn = draw_all(chance, trained.recipe.seed, 0, 64, purpose="preview")
    return {**drawn, **columns}, trained.sample(64, columns=columns)


def assert_close(images: NDArray[Any], expected: NDArray[Any], exact: bool) -> None:
    """Fail if images differ by more than 1e-5, where MindSpore's tanh is exact."""
    assert images.shape == expected.shape and images.dtype == expected.dtype
    difference = np.abs(images - expected)
    assert difference.max() <= (1e-5 if exact else 1.1e-4)
    assert difference[np.abs(expected) < 0.99].max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_recipe_is_exported_to_all_formats(name: str) -> None:
    for ending in ENDINGS:
        require(ending)
    trained = Trained(make_run(Path("run"), name, COLUMNS.get(name), **SMALL[name]))
    inputs, expected = sample(trained, name)
    for ending in ENDINGS:
        path, file = write(trained, f"exported{ending}")
        arrays = {port.name: inputs[port.name] for port in file.inputs}
        for port in file.inputs:
            assert port.shape == inputs[port.name].shape[1:] and port.dtype == str(inputs[port.name].dtype)
        for count in (1, 7):
            images = RUN[ending](path, {one: rows[:count] for one, rows in arrays.items()})
            assert_close(images, expected[:count], exact=ending == ".mindir")


def test_no_recipe_is_forgotten() -> None:
    assert SMALL.keys() == {path.stem for path in (ROOT / "recipes").glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_images_are_scaled_in_the_file(ending: str) -> None:
    require(ending)
    trained = Trained(
        make_run(Path("run"), "mnist_cyclegan", COLUMNS["mnist_cyclegan"], **SMALL["mnist_cyclegan"])
    )
    path, file = write(trained, f"exported{ending}", uint8=True)
    [port] = file.inputs  # the second column does not matter for the images of the first generator
    assert (port.name, port.dtype, file.output.dtype) == ("a", "uint8", "uint8")
    pixels = np.random.default_rng(1).integers(0, 256, (7, 3, 28, 28), np.uint8)
    expected = to_uint8(trained.sample(7, columns={"a": to_unit(pixels), "b": to_unit(pixels)}))
    difference = np.abs(RUN[ending](path, {"a": pixels}).astype(int) - expected)
    assert difference.max() <= 1 and difference.mean() < 0.01  # ties are rounded differently


@pytest.mark.slow
def test_one_network_of_a_game_is_exported_alone() -> None:
    require(".onnx")
    trained = Trained(
        make_run(Path("run"), "mnist_cyclegan", COLUMNS["mnist_cyclegan"], **SMALL["mnist_cyclegan"])
    )
    path, file = write(trained, "back.onnx", network="b_to_a")
    [port] = file.inputs
    images = np.random.default_rng(1).uniform(-1, 1, (5, 3, 28, 28)).astype(np.float32)
    network = trained.networks["b_to_a"].set_train(False)
    assert_close(run_onnx(path, {port.name: images}), network(Tensor(images)).asnumpy(), exact=False)
    with pytest.raises(UsageError, match=r"'d_a' does not take part in making images; .*a_to_b, b_to_a"):
        export(trained, "d.mindir", network="d_a")
    with pytest.raises(UsageError, match="no network 'b_to_c'; did you mean 'b_to_a'"):
        export(trained, "d.mindir", network="b_to_c")


TINY = """
from functools import partial
import numpy as np
from mindspore import Tensor, nn, ops
from ms_gan_callbacks import ArraySource, NonSaturating, Recipe
from ms_gan_callbacks.testing.tiny import TinyDiscriminator, TinyGenerator, make_tiny_images


class Generator(nn.Cell):
    def __init__(self, kind: str) -> None:
        super().__init__()
        batch = kind == "statistics"
        self.first, self.norm = nn.Dense(3, 16), nn.BatchNorm1d(16, use_batch_statistics=True if batch else None)
        self.kind = kind

    def construct(self, noise: Tensor) -> Tensor:
        x = self.first(noise)
        if self.kind in ("statistics", "norm"):
            x = self.norm(x)
        if self.kind == "digamma":
            x = ops.lgamma(ops.abs(x) + 1.0)
        if self.kind == "nan":
            return ops.log(-1.0 - ops.abs(x)).reshape(-1, 1, 4, 4)
        return ops.tanh(40 * x if self.kind == "function" else x).reshape(-1, 1, 4, 4)


def recipe(kind: str = "", ema: float | None = None) -> Recipe:
    return Recipe(
        generator=partial(Generator, kind) if kind else TinyGenerator,
        discriminator=TinyDiscriminator,
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=1e-2),
        data=partial(ArraySource, make_tiny_images(), 4),
        noise_dim=3,
        epochs=1,
        ema=ema,
    )
"""


LAYERS = """
from functools import partial
import numpy as np
from mindspore import Tensor, nn
from ms_gan_callbacks import ArraySource, NonSaturating, Recipe, SpectralNorm
from ms_gan_callbacks.testing.tiny import TinyDiscriminator, make_tiny_images


class Generator(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Dense(3, 64)
        self.layers = nn.SequentialCell(
            SpectralNorm(nn.Conv2d(4, 4, 3, pad_mode="pad", padding=1)),
            nn.Upsample(scale_factor=(2.0, 3.0), mode="nearest", recompute_scale_factor=True),
            nn.ReflectionPad2d((1, 2, 0, 3)),
            nn.Conv2d(4, 4, 3, pad_mode="valid", has_bias=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4, 4, 3, stride=2),  # padded on two sides only
            nn.Dropout(p=0.5),
            nn.InstanceNorm2d(4),
            nn.SiLU(),
            nn.Conv2dTranspose(4, 1, 4, stride=2, pad_mode="same"),
            nn.Sigmoid(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(self.first(noise).reshape(-1, 4, 4, 4)) * 2 - 1


def recipe() -> Recipe:
    return Recipe(
        generator=Generator,
        discriminator=TinyDiscriminator,
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=1e-2),
        data=partial(ArraySource, make_tiny_images(), 4),
        noise_dim=3,
        epochs=1,
    )
"""


@pytest.mark.slow
def test_layers_that_recipes_do_not_have() -> None:
    Path("layers.py").write_text(LAYERS)
    trained = Trained(make_run(Path("run"), Path("layers.py")))
    noise = trained.noise(7)
    for ending in ENDINGS:
        require(ending)
        path, _ = write(trained, f"exported{ending}")
        assert_close(RUN[ending](path, {"noise": noise}), trained.generate(noise), exact=True)
    listing = Path("exported.py").read_text()
    for part in (
        ".repeat_interleave(3, 3)",
        'mode="reflect"',
        "nn.functional.pad(",
        "nn.InstanceNorm2d(4, affine",
    ):
        assert part in listing


@pytest.fixture
def tiny() -> Path:
    Path("tiny.py").write_text(TINY)
    return Path("tiny.py")


@pytest.mark.slow
def test_the_average_is_exported_and_inputs_are_described_in_the_file(tiny: Path) -> None:
    trained = Trained(make_run(Path("run"), tiny, ema=0.9))
    path, file = write(trained, "tiny.mindir")
    noise = trained.noise(5)
    images = run_mindir(path, {"noise": noise})
    assert_close(images, trained.generate(noise), exact=True)
    newest = trained.generator.set_train(False)(Tensor(noise)).asnumpy()
    assert np.abs(images - newest).max() > 1e-3  # the random weights of the average are others
    from mindspore.train import mind_ir_pb2

    model = mind_ir_pb2.ModelProto.FromString(file.content)
    assert dict(model.user_info) == {
        "recipe": "tiny.py",
        "step": "3",
        "weights": "moving average",
        "recipe_sha256": trained.manifest.recipe_sha256,
        "written_by": "ms-gan export",
        "noise": "float32 (N, 3), standard normal",
        "images": "float32 (N, 1, 4, 4), images in [-1, 1]",
    }


@pytest.mark.slow
def test_an_exported_average_has_the_batch_statistics_of_its_images(tiny: Path) -> None:
    trained = Trained(make_run(Path("run"), tiny, kind="norm", ema=0.9))
    path, _ = write(trained, "tiny.mindir")
    noise = trained.noise(5)
    assert_close(run_mindir(path, {"noise": noise}), trained.generate(noise), exact=True)


@pytest.mark.slow
def test_metadata_and_names_are_those_of_the_formats(tiny: Path) -> None:
    require(".onnx"), require(".safetensors")
    import onnx
    from safetensors import safe_open

    trained = Trained(make_run(Path("run"), tiny))
    path, _ = write(trained, "tiny.onnx")
    model = onnx.load(path)
    facts = {one.key: one.value for one in model.metadata_props}
    assert facts["noise"] == "float32 (N, 3), standard normal" and facts["weights"] == "newest"
    [size, length] = model.graph.input[0].type.tensor_type.shape.dim
    assert (size.dim_param, length.dim_value) == ("N", 3)
    assert [node.op_type for node in model.graph.node if node.op_type == "Reshape"] == ["Reshape"]
    path, file = write(trained, "tiny.safetensors")
    with safe_open(path, "np") as weights:
        assert weights.metadata()["images"] == "float32 (N, 1, 4, 4), images in [-1, 1]"
        assert set(weights.keys()) == {
            *(f"layers.{place}.{name}" for place in (0, 3) for name in ("weight", "bias")),
            *(f"layers.2.{name}" for name in ("weight", "bias", "running_mean", "running_var")),
            "layers.2.num_batches_tracked",
        }
    listing = (file.listing or b"").decode()
    assert '"2": nn.BatchNorm1d(8)' in listing and "images: float32 (N, 1, 4, 4)" in listing


def test_a_generator_that_cannot_be_exported_is_refused(tiny: Path) -> None:
    trained = Trained(make_run(Path("nan"), tiny, kind="nan"))
    with pytest.raises(UsageError, match="returns NaN or infinite values"):
        export(trained, "tiny.mindir")
    trained = Trained(make_run(Path("statistics"), tiny, kind="statistics"))
    with pytest.raises(GanError, match="depends on the others of its batch"):
        export(trained, "tiny.mindir")


@pytest.mark.slow
def test_an_operation_that_a_format_does_not_have_is_named(tiny: Path) -> None:
    require(".onnx")
    trained = Trained(make_run(Path("digamma"), tiny, kind="digamma"))
    with pytest.raises(UsageError, match=r"cannot be exported to \.onnx: .*Lgamma"):
        export(trained, "tiny.onnx")


@pytest.mark.slow
def test_the_error_of_tanh_is_reported(tiny: Path) -> None:
    require(".onnx")
    trained = Trained(make_run(Path("run"), tiny, kind="function"))
    with pytest.warns(match="images differ by .*: tanh of MindSpore"):
        path, _ = write(trained, "tiny.onnx")
    noise = trained.noise(7)
    assert_close(run_onnx(path, {"noise": noise}), trained.generate(noise), exact=False)

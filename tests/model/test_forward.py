"""The converted networks are the networks: each layer agrees with a forward pass that knows nothing of Keras."""

import os
from dataclasses import replace
from pathlib import Path

import hydra
import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from alexnet_exp.config.schema import ModelConfig
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.formats import convert
from alexnet_exp.model.weight_files import WeightsMetadata, write_weights
from alexnet_exp.model.weights import adapt_model, load_weights, read_weights

REPO = Path(__file__).parents[2]
LAYERS = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
GEOMETRY = {"conv1": (4, 0), "conv2": (1, 2), "conv3": (1, 1), "conv4": (1, 1), "conv5": (1, 1)}  # stride, padding


@pytest.fixture(scope="module")
def weights_folder() -> Path:
    folder = Path(os.environ.get("ALEXNET_EXP_DATA", REPO.parent / "shared" / "data")).resolve() / "weights"
    if not folder.is_dir():
        pytest.skip(f"no real weights: {folder} does not exist (set ALEXNET_EXP_DATA)")
    return folder


def model_config(name: str) -> ModelConfig:
    with hydra.initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        composed = hydra.compose("config", [f"model={name}"])
    plain = OmegaConf.to_container(composed.model, resolve=True)
    return TypeAdapter(ModelConfig).validate_python(plain)


def images(size: int) -> np.ndarray:
    """Two images of blobs and edges, uint8 RGB: noise at the size of a pixel alone would hardly excite the filters."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (2, size // 16 + 1, size // 16 + 1, 3))
    pixels = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :size, :size]
    return (pixels + rng.integers(0, 56, pixels.shape)).astype(np.uint8)


def numpy_forward(
    pixels: np.ndarray, values: dict[str, np.ndarray], metadata: WeightsMetadata
) -> dict[str, np.ndarray]:
    """Outputs of ReLU (conv1 to conv5) and of the pooling blocks, float64, after LRN where that comes last."""
    pre = metadata.preprocess
    x = pixels[..., :: -1 if pre.channels == "bgr" else 1].astype(np.float64)
    x = (x * pre.scale - np.array(pre.mean)) / np.array(pre.std)
    outputs = {}
    for name, (stride, padding) in GEOMETRY.items():
        x = convolve(x, values[f"{name}/kernel"], values[f"{name}/bias"], metadata.groups[name], stride, padding)
        x = outputs[name] = np.maximum(x, 0)
        if name in ("conv3", "conv4"):
            continue
        for step in metadata.order.split("_") if name != "conv5" else ["pool"]:
            x = max_pool(x) if step == "pool" else normalise(x, metadata)
        outputs[name.replace("conv", "pool")] = x
    return outputs


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, groups: int, stride: int, padding: int) -> np.ndarray:
    height, width, inputs, filters = kernel.shape
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(x, (height, width), axis=(1, 2))[:, ::stride, ::stride]  # B, Y, X, I, H, W
    outputs = []
    for group in range(groups):
        part = windows[..., group * inputs : (group + 1) * inputs, :, :]
        share = filters // groups
        weights = kernel[..., group * share : (group + 1) * share]
        flat = part.reshape(-1, inputs * height * width) @ weights.transpose(2, 0, 1, 3).reshape(-1, share)
        outputs.append(flat.reshape(*part.shape[:3], share))
    return np.concatenate(outputs, axis=-1) + bias


def max_pool(x: np.ndarray) -> np.ndarray:
    return sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-2, -1))


def normalise(x: np.ndarray, metadata: WeightsMetadata) -> np.ndarray:
    lrn = metadata.lrn
    assert lrn is not None
    half = lrn.size // 2
    squares = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (half, half)))
    total = np.zeros_like(x)
    for shift in range(lrn.size):
        total += squares[..., shift : shift + x.shape[-1]]
    return x / (lrn.k + lrn.alpha * total) ** lrn.beta


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
def test_real_weights_give_the_activations_of_the_network(name: str, weights_folder: Path, tmp_path: Path) -> None:
    conversion = convert(weights_folder / f"{name}_conv1-5.npz")
    path = tmp_path / "w.safetensors"
    write_weights(path, conversion.values, conversion.metadata)
    pretrained = read_weights(path)
    metadata = pretrained.metadata
    assert metadata is not None

    config = adapt_model(replace(model_config(metadata.network), dense={}), pretrained)
    assert config.norm.lrn == metadata.lrn
    assert config.preprocess == metadata.preprocess
    network = build_alexnet(config, 2)
    load_weights(network, pretrained, fresh=["head"])
    block_ends = {"pool1": "pool1", "pool2": "pool2"} if metadata.order == "lrn_pool" else {
        "pool1": "conv1_norm",
        "pool2": "conv2_norm",
    }  # fmt: skip
    names = [block_ends.get(layer, layer if layer == "pool5" else f"{layer}_activation") for layer in LAYERS]
    outputs = keras.Model(network.input, [network.get_layer(layer).output for layer in names]).predict(
        images(227), verbose=0
    )

    expected = numpy_forward(images(227), pretrained.values, metadata)
    assert expected["pool5"].shape == (2, 6, 6, 256)
    for layer, output in zip(LAYERS, outputs, strict=True):
        scale = np.abs(expected[layer]).max()
        assert scale > 0
        np.testing.assert_allclose(output, expected[layer], rtol=1e-4, atol=1e-5 * scale, err_msg=layer)


def test_one_tower_agrees_with_two(weights_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    features = []
    for single_tower in (False, True):
        conversion = convert(weights_folder / "caffenet_conv1-5.npz", single_tower=single_tower)
        write_weights(path, conversion.values, conversion.metadata)
        norm = model_config("caffenet").norm
        config = replace(model_config(conversion.metadata.network), dense={}, norm=norm)
        network = build_alexnet(adapt_model(config, read_weights(path)), 2)
        load_weights(network, read_weights(path), fresh=["head"])
        features.append(keras.Model(network.input, network.get_layer("pool5").output).predict(images(227), verbose=0))
    np.testing.assert_allclose(features[1], features[0], rtol=1e-4, atol=1e-5 * np.abs(features[0]).max())


def test_a_torchvision_file_agrees_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    nn = torch.nn
    features = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    classifier = nn.Sequential(
        *(nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 10)),
    )
    theirs = nn.ModuleDict({"features": features, "classifier": classifier}).eval()
    pixels = images(224)
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        expected = classifier(features(torch.tensor(scaled.transpose(0, 3, 1, 2), dtype=torch.float32)).flatten(1))

    for legacy in (False, True):
        torch.save(theirs.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
        conversion = convert(tmp_path / "w.pth")
        assert conversion.left_out == {}
        write_weights(tmp_path / "w.safetensors", conversion.values, conversion.metadata)
        network = build_alexnet(
            adapt_model(model_config("alexnet_torchvision"), read_weights(tmp_path / "w.safetensors")), 10
        )
        load_weights(network, read_weights(tmp_path / "w.safetensors"), fresh=[])
        logits = keras.Model(network.input, network.get_layer("head").output).predict(pixels, verbose=0)
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)
    for file in tmp_path.iterdir():  # half a gigabyte
        file.unlink()

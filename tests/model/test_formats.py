"""Foreign weight files: each format is read right, and what is damaged, foreign or hostile is refused in one line."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from alexnet_exp.config.schema import Lrn
from alexnet_exp.errors import WeightsError
from alexnet_exp.model.formats import as_single_tower, convert, detect_format
from alexnet_exp.model.formats.reading import from_chw
from alexnet_exp.model.weights import read_weights, write_weights
from tests.model import foreign_files as foreign

REPO = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


CONV1, BIAS1 = random(11, 11, 3, 96), random(96)  # HWIO
CONV2, BIAS2 = random(5, 5, 48, 256), random(256)
TORCH1, TORCH_BIAS1 = random(11, 11, 3, 64), random(64)
HEAD, HEAD_BIAS = random(4096, 3), random(3)


def oihw(kernel: np.ndarray) -> np.ndarray:
    height, width, inputs, outputs = kernel.shape
    out = np.empty((outputs, inputs, height, width), kernel.dtype)
    for y in range(height):
        for x in range(width):
            out[:, :, y, x] = kernel[y, x].T
    return out


def npz(folder: Path) -> Path:
    arrays = {"conv1_w": CONV1, "conv1_b": BIAS1, "conv2_w": CONV2, "conv2_b": BIAS2, "conv4_b": random(384)}
    return foreign.write_npz(folder / "w.npz", arrays)


def npy(folder: Path) -> Path:
    return foreign.write_python2_npy(folder / "w.npy", {"conv1": (CONV1, BIAS1), "conv2": (CONV2, BIAS2)})


def npy_of_python3(folder: Path) -> Path:
    np.save(folder / "w.npy", {"conv1": [np.asfortranarray(CONV1), BIAS1], "conv2": [CONV2, BIAS2]}, allow_pickle=True)
    return folder / "w.npy"


def caffe_v1(folder: Path) -> Path:
    layers = foreign.v1_layer("conv1", 4, oihw(CONV1), BIAS1) + foreign.v1_layer("norm1", 15)
    layers += foreign.v1_layer("pool1", 17) + foreign.v1_layer("conv2", 4, oihw(CONV2), BIAS2)
    (folder / "w.caffemodel").write_bytes(foreign.block(1, b"some net") + layers)
    return folder / "w.caffemodel"


def caffe_v2(folder: Path) -> Path:
    lrn = foreign.integer(1, 5) + b"\x15" + struct.pack("<f", 1e-4) + b"\x1d" + struct.pack("<f", 0.75)
    layers = foreign.layer("conv1", "Convolution", oihw(CONV1), BIAS1) + foreign.layer("pool1", "Pooling")
    layers += foreign.layer("norm1", "LRN", lrn=lrn)
    layers += foreign.layer("conv2", "Convolution", oihw(CONV2).astype(np.float64), BIAS2)
    (folder / "w.caffemodel").write_bytes(layers)
    return folder / "w.caffemodel"


def torch_arrays() -> dict[str, np.ndarray]:
    return {
        "features.0.weight": oihw(TORCH1),
        "features.0.bias": TORCH_BIAS1,
        "classifier.6.weight": np.ascontiguousarray(HEAD.T),
        "classifier.6.bias": HEAD_BIAS,
    }


def pth(folder: Path) -> Path:
    return foreign.write_pth(folder / "w.pth", torch_arrays())


def legacy_pth(folder: Path) -> Path:
    return foreign.write_legacy_pth(folder / "w.pth", torch_arrays())


def h5(folder: Path) -> Path:
    arrays = {"conv_1_W": oihw(CONV1[::-1, ::-1]), "conv_1_b": BIAS1, "conv_5_1_W": random(128, 192, 3, 3)}
    arrays["conv_5_1_b"] = random(128)
    for tower, part in ((1, slice(0, 128)), (2, slice(128, 256))):
        arrays[f"conv_2_{tower}_W"] = oihw(CONV2[::-1, ::-1, :, part])
        arrays[f"conv_2_{tower}_b"] = BIAS2[part]
    return foreign.write_h5(folder / "w.h5", arrays)


TWO_TOWERS = {"conv1/kernel": CONV1, "conv1/bias": BIAS1, "conv2/kernel": CONV2, "conv2/bias": BIAS2}
ONE_TOWER = {"conv1/kernel": TORCH1, "conv1/bias": TORCH_BIAS1, "head/kernel": HEAD, "head/bias": HEAD_BIAS}
CAFFE_LRN = Lrn(size=5, alpha=2e-5, beta=0.75, k=1.0)
CASES = [
    (npz, "npz", TWO_TOWERS, "caffenet", "pool_lrn", "bgr", CAFFE_LRN),
    (npy, "npy", TWO_TOWERS, "alexnet_2012", "lrn_pool", "bgr", CAFFE_LRN),
    (npy_of_python3, "npy", TWO_TOWERS, "alexnet_2012", "lrn_pool", "bgr", CAFFE_LRN),
    (caffe_v1, "caffemodel", TWO_TOWERS, "alexnet_2012", "lrn_pool", "bgr", CAFFE_LRN),
    (caffe_v2, "caffemodel", TWO_TOWERS, "caffenet", "pool_lrn", "bgr", CAFFE_LRN),
    (pth, "pth", ONE_TOWER, "alexnet_torchvision", "none", "rgb", None),
    (legacy_pth, "pth", ONE_TOWER, "alexnet_torchvision", "none", "rgb", None),
    (h5, "h5", TWO_TOWERS, "caffenet", "pool_lrn", "rgb", Lrn(size=5, alpha=1e-4, beta=0.75, k=2.0)),
]
WRITERS = [case[0] for case in CASES]
Writer = Callable[[Path], Path]


@pytest.mark.parametrize(("write", "name", "values", "network", "order", "channels", "lrn"), CASES)
def test_each_format_becomes_the_same_layout(
    tmp_path: Path,
    write: Writer,
    name: str,
    values: dict[str, np.ndarray],
    network: str,
    order: str,
    channels: str,
    lrn: Lrn | None,
) -> None:
    path = write(tmp_path)
    assert detect_format(path) == name
    conversion = convert(path, licence="MIT")
    assert list(conversion.values) == list(values)
    for key, value in values.items():
        np.testing.assert_array_equal(conversion.values[key], value)
    metadata = conversion.metadata
    assert (metadata.network, metadata.order, metadata.preprocess.channels) == (network, order, channels)
    assert (metadata.lrn, metadata.licence) == (lrn, "MIT")
    assert metadata.groups.get("conv2", 2) == 2
    assert "conv3" in conversion.left_out

    output = tmp_path / "w.safetensors"
    write_weights(output, conversion.values, metadata)
    pretrained = read_weights(output)
    assert pretrained.metadata == metadata
    assert pretrained.preprocess == metadata.preprocess
    np.testing.assert_array_equal(pretrained.values["conv1/kernel"], values["conv1/kernel"])


def test_what_a_file_has_in_part_is_left_out_by_name(tmp_path: Path) -> None:
    assert convert(npz(tmp_path)).left_out["conv4"] == "the file has no kernel, only conv4_b"
    assert convert(h5(tmp_path)).left_out["conv5"] == "the file has conv_5_1 without conv_5_2"


def test_fc6_sees_channels_last() -> None:
    activation, kernel = random(256, 6, 6), random(9216, 4)
    expected = activation.reshape(-1) @ kernel
    received = activation.transpose(1, 2, 0).reshape(-1) @ from_chw(kernel)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-3)


def test_caffe_dense_kernels_are_transposed_and_fc8_is_the_head(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    dense = foreign.layer("fc8", "InnerProduct", np.ascontiguousarray(HEAD.T), HEAD_BIAS)
    old = foreign.v1_layer("fc8", 14, np.ascontiguousarray(HEAD.T), HEAD_BIAS)
    for content in (dense, old):
        path.write_bytes(foreign.block(1, b"CaffeNet") + content)
        conversion = convert(path)
        np.testing.assert_array_equal(conversion.values["head/kernel"], HEAD)
        assert conversion.metadata.network == "caffenet"


def test_one_tower_of_two_computes_the_same(tmp_path: Path) -> None:
    conversion = convert(npz(tmp_path), single_tower=True)
    kernel = conversion.values["conv2/kernel"]
    assert conversion.metadata.network == "alexnet"
    assert conversion.metadata.groups == {"conv1": 1, "conv2": 1}
    assert conversion.metadata.lrn == CAFFE_LRN
    assert kernel.shape == (5, 5, 96, 256)
    patch = random(5, 5, 96)
    halves = [
        np.einsum("hwi,hwio->o", patch[..., 48 * g : 48 * g + 48], CONV2[..., 128 * g : 128 * g + 128]) for g in (0, 1)
    ]
    np.testing.assert_allclose(np.einsum("hwi,hwio->o", patch, kernel), np.concatenate(halves), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(as_single_tower({"conv1/kernel": CONV1}, {"conv1": 1})["conv1/kernel"], CONV1)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("part", [0.02, 0.6, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, write: Writer, part: float) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refuse(path)


@pytest.mark.parametrize("write", WRITERS)
def test_bytes_that_make_no_sense_are_refused(tmp_path: Path, write: Writer) -> None:
    """Random bytes in the headers: whatever the libraries raise for them is one line, or the file is still whole."""
    path = write(tmp_path)
    content = path.read_bytes()
    rng, messages = np.random.default_rng(0), []
    for _ in range(10):
        damaged = bytearray(content[: len(content) // 2] if rng.random() < 0.5 else content)
        for position in rng.integers(0, 200, 5):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            convert(path)
        except WeightsError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


def test_a_compression_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] = 99  # the method of the last entry
    path.write_bytes(content)
    refuse(path, "That compression method is not supported")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_layer(tmp_path: Path, value: float) -> None:
    kernel = CONV1.copy()
    kernel[0, 0, 0, 0] = value
    path = foreign.write_npz(tmp_path / "w.npz", {"conv1_w": kernel, "conv1_b": BIAS1})
    refuse(path, "conv1/kernel: expected finite values. Received: 1 ")
    path = foreign.write_pth(tmp_path / "w.pth", torch_arrays() | {"features.0.bias": np.full(64, value, np.float32)})
    refuse(path, "conv1/bias: expected finite values. Received: 64 ")


def test_other_networks_and_formats_are_refused(tmp_path: Path) -> None:
    vgg = {"features.0.weight": random(64, 3, 3, 3), "features.0.bias": random(64)}
    refuse(
        foreign.write_pth(tmp_path / "vgg.pth", vgg), "conv1 (features.0.weight)", "11x11x3x64", "Received: 3x3x3x64"
    )
    deeper = {"features.28.weight": random(4, 4, 3, 3)}
    refuse(foreign.write_pth(tmp_path / "deeper.pth", deeper), "features.28.weight")
    tensorflow = {"conv_1_W": CONV1, "conv_1_b": BIAS1[:11]}
    refuse(foreign.write_h5(tmp_path / "tf.h5", tensorflow), "conv1 (conv_1_W)", "11x11x3x96")
    refuse(foreign.write_h5(tmp_path / "other.h5", {"dense_9_W": HEAD, "dense_9_b": HEAD_BIAS}), "dense_9")
    refuse(foreign.write_python2_npy(tmp_path / "vgg.npy", {"conv1_1": (CONV1, BIAS1)}), "Received: conv1_1")
    refuse(foreign.write_npz(tmp_path / "x.npz", {"conv9_w": CONV1}), "Received: conv9_w")
    refuse(foreign.write_npz(tmp_path / "b.npz", {"conv1_w": CONV1}), "conv1: expected a kernel and a bias")
    meta = foreign.META | {"order": "conv-bn-relu"}
    refuse(foreign.write_npz(tmp_path / "m.npz", {"conv1_w": CONV1, "conv1_b": BIAS1}, meta), "conv-bn-relu")
    integers = {"conv1_w": CONV1.astype(np.int64), "conv1_b": BIAS1}
    refuse(foreign.write_npz(tmp_path / "i.npz", integers), "conv1_w", "int64")

    net = tmp_path / "w.caffemodel"
    net.write_bytes(foreign.block(1, b"ResNet") + foreign.layer("conv1", "Convolution", oihw(CONV1), BIAS1))
    refuse(net, "ResNet")
    net.write_bytes(foreign.block(1, b"CaffeNet") + foreign.layer("res2a", "Convolution", oihw(CONV1), BIAS1))
    refuse(net, "res2a")
    net.write_bytes(foreign.block(1, b"CaffeNet") + foreign.block(2, foreign.block(1, b"old")))
    refuse(net, "upgrade_net_proto_binary")
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"\xff\xd8\xff\xe0 a photo")
    refuse(image, "npz, npy, caffemodel, pth, h5", ".jpg")
    refuse(tmp_path / "none.npz", "No such file")
    (tmp_path / "empty.npy").touch()
    refuse(tmp_path / "empty.npy", "an empty file")


def test_hostile_pickles_are_refused_without_a_side_effect(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {marker}",)

    np.save(tmp_path / "a.npy", {"conv1": [Hostile(), BIAS1]}, allow_pickle=True)
    files = [tmp_path / "a.npy", foreign.write_npy_pickle(tmp_path / "b.npy", foreign.hostile_pickle(marker))]
    files.append(foreign.write_pth(tmp_path / "c.pth", {}, foreign.hostile_pickle(marker)))
    (tmp_path / "d.pth").write_bytes(foreign.hostile_pickle(marker))
    files.append(tmp_path / "d.pth")
    for path in files:
        refuse(path, "posix.system", "nothing of it was executed")
    assert not marker.exists()
    pickle.loads(foreign.hostile_pickle(marker))  # the pickle is one that works
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "eval"), ("numpy", "load"), ("numpy.core.multiarray", "fromfile"), ("collections", "Counter")],
)
def test_a_pickle_may_name_nothing_else(tmp_path: Path, module: str, name: str) -> None:
    content = b"\x80\x02" + foreign.glob(module, name) + b")R."
    refuse(foreign.write_npy_pickle(tmp_path / "w.npy", content), f"{module}.{name}")
    refuse(foreign.write_pth(tmp_path / "w.pth", {}, content), f"{module}.{name}")


def test_a_pickle_leaves_what_other_files_are_read_with(tmp_path: Path) -> None:
    def change(module: str, name: str, attribute: str) -> bytes:
        """BUILD on a class."""
        state = b"N}" + foreign.text(attribute) + foreign.glob("collections", "OrderedDict") + b"s\x86"
        return b"\x80\x02" + foreign.glob(module, name) + state + b"b."

    tensor = change("torch._utils", "_rebuild_tensor_v2", "array")
    refuse(foreign.write_pth(tmp_path / "w.pth", {}, tensor), "expected the state of an object")
    content = change("_codecs", "encode", "__new__").replace(b"ccollections\nOrderedDict", b"cnumpy\nndarray")
    refuse(foreign.write_npy_pickle(tmp_path / "w.npy", content), "expected the state of an object")
    for write in (pth, legacy_pth, npy, npy_of_python3):
        convert(write(tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Nr\x00\x00\x00\x08.", "a memo of at most"),
        (b"N" + b"q\x00h\x00\x86" * 60 + b"Q.", "persistent ids"),  # one of 2^60 items
    ],
    ids=["memo", "id"],
)
def test_a_pickle_that_promises_more_than_it_holds_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    refuse(foreign.write_npy_pickle(tmp_path / "w.npy", b"\x80\x02" + content), words)


def test_a_storage_without_a_name_is_refused(tmp_path: Path) -> None:
    name = b"N" + b"q\x00h\x00\x86" * 60
    content = b"\x80\x02(" + foreign.text("storage") + foreign.glob("torch", "FloatStorage") + name + b"NK\x01tQ."
    refuse(foreign.write_pth(tmp_path / "w.pth", {}, content), "expected the name of a float32 storage")


@pytest.mark.parametrize(
    ("shape", "content", "words"),
    [
        ((96,), foreign.number(4 * 96), "bytes-like object"),  # a size instead of bytes
        ((-1,), foreign.python2_bytes(bytes(4 * 96)), "shape (-1,)"),
    ],
)
def test_an_array_without_its_values_is_refused(
    tmp_path: Path, shape: tuple[int, ...], content: bytes, words: str
) -> None:
    path = foreign.write_python2_npy(tmp_path / "w.npy", {"conv1": (CONV1, BIAS1)})
    whole = foreign.python2_array(BIAS1.shape, "f4", foreign.python2_bytes(BIAS1.tobytes()))
    path.write_bytes(path.read_bytes().replace(whole, foreign.python2_array(shape, "f4", content)))
    refuse(path, words)


def test_a_tensor_outside_of_its_storage_is_refused(tmp_path: Path) -> None:
    arrays = {"features.0.bias": random(64)}
    for shape, stride in ((65, 1), (64, 2), (-64, 1), (64, -1)):
        content = foreign.state_dict(arrays).replace(
            foreign.numbers((64,)) + foreign.numbers((1,)), foreign.numbers((shape,)) + foreign.numbers((stride,))
        )
        refuse(foreign.write_pth(tmp_path / "w.pth", arrays, content), "features.0.bias", "outside of 64 values")


def test_a_state_dict_that_replaces_its_own_methods_is_refused(tmp_path: Path) -> None:
    arrays = {"features.0.bias": random(64)}
    own = foreign.state_dict(arrays)
    content = own.replace(foreign.text("_metadata"), foreign.text("items")).replace(b")Rsb.", b"sb.")
    refuse(foreign.write_pth(tmp_path / "w.pth", arrays, content), "conv1: expected a kernel and a bias")


def test_hdf5_that_refers_to_other_files_is_refused(tmp_path: Path) -> None:
    h5(tmp_path)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["conv_1"] = h5py.ExternalLink("w.h5", "conv_1")
    refuse(tmp_path / "link.h5", "conv_1", "a link")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        group = file.create_group("conv_1")
        group["conv_1_b"] = BIAS1
        group.create_dataset("conv_1_W", (96, 3, 11, 11), "f4", external=[(str(tmp_path / "w.h5"), 0, 4 * CONV1.size)])
    refuse(tmp_path / "external.h5", "conv_1_W", "a reference to another file")


def test_files_that_unpack_to_anything_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((10**5, 10**5), (2**27,)):  # one array that is too large; two that are so together
        with h5py.File(tmp_path / "w.h5", "w") as file:
            for group in ("conv_1", "conv_3"):
                file.create_group(group)[f"{group}_b"] = BIAS1
                file[group].create_dataset(f"{group}_W", shape, "f4", chunks=(100,) * len(shape), fillvalue=1)
        refuse(tmp_path / "w.h5", "bytes when unpacked")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("conv_1")
        group["conv_1_b"] = BIAS1
        group.create_dataset("conv_1_W", (10**6,), h5py.string_dtype(), chunks=(10,), fillvalue="x" * 1000)
    refuse(tmp_path / "w.h5", "conv_1_W: expected floating point")
    monkeypatch.setattr("alexnet_exp.model.formats.reading.LIMIT", 10**5)
    for write in (npz, npy, pth, legacy_pth, h5):
        refuse(write(tmp_path), "bytes when unpacked")


def test_archives_of_other_things_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 9] |= 8  # says that the name is UTF-8
    content[entry + 46] = 0xFF
    path.write_bytes(content)
    refuse(path, "a damaged or truncated archive")
    with zipfile.ZipFile(npz(tmp_path), "a") as archive:
        archive.writestr("conv3_w.npy", b"no array")
    refuse(path, "conv3_w is no array")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.npz")
    refuse(tmp_path / "w.npz", "no regular file")
    refuse(tmp_path, "a folder")


def test_what_no_network_can_have_is_refused(tmp_path: Path) -> None:
    lrn = foreign.layer("norm1", "LRN", lrn=foreign.integer(1, 4)) + foreign.layer("pool1", "Pooling")
    (tmp_path / "w.caffemodel").write_bytes(foreign.layer("conv1", "Convolution", oihw(CONV1), BIAS1) + lrn)
    refuse(tmp_path / "w.caffemodel", "an odd number of channels")
    arrays = {"conv1_w": CONV1, "conv1_b": BIAS1}
    meta = foreign.META | {"mean_BGR": [104.0, float("nan"), 123.0]}
    refuse(foreign.write_npz(tmp_path / "w.npz", arrays, meta), "meta", "finite number")
    head = {"fc8_w": HEAD[:, :0], "fc8_b": HEAD_BIAS[:0]}
    refuse(foreign.write_npz(tmp_path / "w.npz", arrays | head), "fc8_w", "4096x0")
    meta = foreign.META | {"source": "\ud800"}
    conversion = convert(foreign.write_npz(tmp_path / "w.npz", arrays, meta))
    with pytest.raises(WeightsError, match="expected metadata of Unicode text"):
        write_weights(tmp_path / "w.safetensors", conversion.values, conversion.metadata)
    assert not (tmp_path / "w.safetensors").exists()


def test_the_script_converts_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    output = tmp_path / "out" / "w.safetensors"
    output.parent.mkdir()
    source = npz(tmp_path).rename(tmp_path / "w[bold]\udcff.npz")
    done = script(source, "--output", output, "--licence", "BSD", "--source", "me")
    assert done.returncode == 0, done.stderr
    assert "w[bold]?.npz -> model=caffenet" in done.stdout
    assert "conv2_w" in done.stdout
    assert "left out: conv4 (the file has no kernel, only conv4_b)" in done.stdout
    pretrained = read_weights(output)
    assert pretrained.sha256 in done.stdout
    assert pretrained.metadata is not None
    assert (pretrained.metadata.licence, pretrained.metadata.source) == ("BSD", "me")

    same = source.rename(tmp_path / "same.safetensors")
    content = same.read_bytes()
    done = script(same, "--output", same)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected another file than the source" in done.stderr
    assert same.read_bytes() == content

    output.unlink()
    bad = foreign.write_npz(tmp_path / "bad.npz", {"conv1_w": np.full_like(CONV1, np.nan), "conv1_b": BIAS1})
    done = script(bad, "--output", output)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(output.parent.iterdir()) == []


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPO / "scripts" / "convert_weights.py"), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPO), "COLUMNS": "120"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def refuse(path: Path, *words: str) -> None:
    with pytest.raises(WeightsError) as error:
        convert(path)
    message = str(error.value)
    assert "\n" not in message
    for word in (str(path), "expected", "Received: ", *words):
        assert word in message

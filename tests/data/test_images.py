"""Any image that Pillow reads becomes the same square RGB pixels; bad ones are named."""

import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.data.decode import BadImage, decode
from alexnet_exp.data.files import list_images
from alexnet_exp.errors import DataError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def splits_of(root: Path, *overrides: str, size: int = 16) -> Splits:
    config = compose_config(["dataset=image_folder", f"dataset.root={root}", *overrides])
    return load_splits(config.dataset, size, Path("cache"))


LIMITS = compose_config([]).dataset.limits
GREY = Image.new("L", (20, 20), 100)
CLEAR = Image.new("RGBA", (20, 20), (10, 20, 30, 0))
FLOAT = Image.fromarray(np.full((20, 20), 1.0, np.float32))
DARK = Image.fromarray(np.full((20, 20), 257, np.uint16))
DEEP = Image.fromarray(np.full((20, 20), 100 * 257, np.uint16))
PALETTE = Image.new("RGB", (20, 20), (100, 100, 100)).quantize(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(GREY), (100, 100, 100)),
        (encoded(CLEAR), (255, 255, 255)),
        (encoded(DEEP), (100, 100, 100)),
        (encoded(DARK), (1, 1, 1)),
        (encoded(FLOAT, "TIFF"), (255, 255, 255)),
        (encoded(PALETTE), (100, 100, 100)),
        (encoded(Image.new("CMYK", (20, 20), (0, 0, 0, 0)), "TIFF"), (255, 255, 255)),
        (encoded(Image.new("RGB", (20, 20), (1, 2, 3)), "BMP"), (1, 2, 3)),
        (encoded(Image.new("1", (20, 20), 1)), (255, 255, 255)),
        (encoded(Image.new("LA", (20, 20), (7, 255))), (7, 7, 7)),
    ],
    ids=["grey", "transparent", "16-bit", "dark 16-bit", "float", "palette", "CMYK", "RGB", "1-bit", "grey with alpha"],
)
def test_any_mode_becomes_rgb(content: bytes, expected: tuple[int, int, int]) -> None:
    pixels = decode(content, 8, "crop")
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, (8, 8, 3)))


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (20, 20))
    image.paste((255, 0, 0), (0, 0, 20, 10))  # red above black
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = decode(encoded(image, "PNG", exif=exif), 20, "squash")
    assert turned[0, 0].tolist() == [0, 0, 0]
    assert turned[-1, 0].tolist() == [255, 0, 0]


def test_crop_keeps_the_centre_and_squash_keeps_everything() -> None:
    image = Image.new("RGB", (60, 20))
    image.paste((255, 255, 255), (20, 0, 40, 20))
    assert decode(encoded(image), 20, "crop").min() == 255
    assert decode(encoded(image), 20, "squash").min() == 0


@pytest.mark.parametrize(
    "content", [b"", b"not an image", encoded(GREY)[:40], encoded(GREY.resize((300, 300)), "JPEG")[:500]]
)
def test_damaged_images_are_refused(content: bytes) -> None:
    with pytest.raises(BadImage):
        decode(content, 8, "crop")


@pytest.mark.usefixtures("in_tmp")
class TestFolders:
    def test_classes_are_split_stratified_and_seeded(self, photos: Path) -> None:
        splits = splits_of(photos, "dataset.val_fraction=0.25", "dataset.test_fraction=0.34")
        assert splits.class_names == ["blue", "red"]
        assert [np.bincount(part.labels).tolist() for part in (splits.train, splits.val, splits.test)] == [
            [6, 6],
            [2, 2],
            [4, 4],
        ]
        everything = [*splits.train.ids, *splits.val.ids, *splits.test.ids]
        assert len(set(everything)) == 24
        again = splits_of(photos, "dataset.val_fraction=0.25", "dataset.test_fraction=0.34")
        assert again.train.ids == splits.train.ids
        assert again.fingerprint == splits.fingerprint
        larger = splits_of(photos, "dataset.val_fraction=0.5", "dataset.test_fraction=0.34", size=24)
        assert larger.fingerprint != splits.fingerprint
        assert larger.test_sha256 == splits.test_sha256
        other = splits_of(photos, "dataset.val_fraction=0.25", "dataset.test_fraction=0.34", "dataset.split_seed=1")
        assert other.train.ids != splits.train.ids
        assert other.test_sha256 != splits.test_sha256

    @pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
    def test_an_archive_gives_the_same_pixels_as_its_folder(self, photos: Path, kind: str) -> None:
        archive = photos.parent / f"photos.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(archive, "w") as file:
                for path in photos.rglob("*.png"):
                    file.write(path, path.relative_to(photos.parent))
        else:
            with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as file:
                file.add(photos, "photos")
        folder, packed = splits_of(photos), splits_of(archive)
        assert folder.fingerprint == packed.fingerprint
        np.testing.assert_array_equal(folder.test.take(slice(None)), packed.test.take(slice(None)))

    def test_parts_that_the_folders_name_are_kept(self, photos: Path, tmp_path: Path) -> None:
        root = tmp_path / "deep" / "nested"
        for part, numbers in (("Training", range(8)), ("valid", range(8, 10)), ("TEST", range(10, 12))):
            for name in ("red", "blue"):
                (root / part / name).mkdir(parents=True)
                for number in numbers:
                    (photos / name / f"{number:02d}.png").rename(root / part / name / f"{number:02d}.png")
        splits = splits_of(tmp_path / "deep")
        assert [len(part) for part in (splits.train, splits.val, splits.test)] == [16, 4, 4]
        assert all("TEST" in name for name in splits.test.ids)

    def test_part_folders_beside_others_are_refused(self, photos: Path) -> None:
        (photos / "red").rename(photos / "train")
        (photos / "blue").rename(photos / "test")
        (photos / "sample").mkdir()
        Image.new("RGB", (20, 20)).save(photos / "sample" / "0.png")
        with pytest.raises(DataError, match="test, train beside sample"):
            splits_of(photos)

    def test_a_part_of_the_classes_has_the_same_test_images(self, photos: Path) -> None:
        (photos / "green").mkdir()
        for number in range(12):
            Image.new("RGB", (20, 20), (0, 9 * number, 0)).save(photos / "green" / f"{number:02d}.png")
        everything = {name for name in splits_of(photos).test.ids if not name.startswith("blue")}
        assert set(splits_of(photos, "dataset.classes=[red,green]").test.ids) == everything

    def test_archives_of_the_current_folder_and_with_doubles(self, photos: Path) -> None:
        archive = photos.parent / "dot.tar"
        with tarfile.open(archive, "w") as file:
            file.add(photos, ".")
            file.add(photos / "red" / "00.png", "./red/00.png")
        splits = splits_of(archive)
        assert splits.fingerprint == splits_of(photos).fingerprint

    def test_a_folder_that_cannot_be_read_is_named(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(folder: Path) -> Iterator[os.DirEntry[str]]:
            if Path(folder).name == "red":
                raise PermissionError(13, "Permission denied", str(folder))
            return scandir(folder)

        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", refused)
        with pytest.raises(
            DataError, match=r"expected a folder that can be read. Received: .*red \(Permission denied\)$"
        ):
            list_images(photos, LIMITS)

    def test_a_link_into_itself_ends(self, photos: Path) -> None:
        (photos / "red" / "loop").symlink_to(photos)
        assert sum(file.class_name == "red" for file in list_images(photos, LIMITS)) == 12

    def test_a_dead_link_is_an_unreadable_image(self, photos: Path) -> None:
        (photos / "red" / "dead.png").symlink_to(photos / "nowhere.png")
        with pytest.raises(DataError, match=r"Received: red/dead\.png"):
            splits_of(photos)
        assert len(splits_of(photos, "dataset.on_bad_image=skip").train)

    @pytest.mark.parametrize("kind", ["w:gz", "w:xz"])
    def test_a_truncated_archive_is_named(self, photos: Path, kind: str) -> None:
        archive = photos.parent / "photos.tar"
        with tarfile.open(archive, kind) as file:
            file.add(photos, "photos")
        archive.write_bytes(archive.read_bytes()[:-2000])
        with pytest.raises(DataError, match=r"photos\.tar"):
            splits_of(archive)

    def test_a_class_without_a_readable_image_is_named(self, photos: Path) -> None:
        for file in (photos / "red").iterdir():
            file.write_bytes(b"broken")
        with pytest.raises(DataError, match="Received: none in red"):
            splits_of(photos, "dataset.on_bad_image=skip")

    def test_what_is_no_image_is_counted_and_doubles_across_parts_are_warned_of(
        self, photos: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (photos / "red" / "notes.txt").write_text("hello")
        for file in (photos / "blue").iterdir():
            file.write_bytes((photos / "blue" / "00.png").read_bytes())
        splits_of(photos)
        assert "1 .txt" in caplog.text
        assert "2 of 4 test images the same as one in train (blue/" in caplog.text

    def test_an_unusable_cache_is_named(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(DataError, match=r"paths\.cache"):
            splits_of(photos)

    def test_a_class_may_be_called_train(self, photos: Path) -> None:
        (photos / "red").rename(photos / "train")
        assert splits_of(photos).class_names == ["blue", "train"]

    def test_limit_per_class_leaves_the_test_images_alone(self, photos: Path) -> None:
        splits = splits_of(photos, "dataset.limit_per_class=4", "dataset.test_fraction=0.25")
        assert [len(part) for part in (splits.train, splits.val, splits.test)] == [6, 2, 6]

    def test_one_changed_pixel_changes_the_fingerprint(self, photos: Path) -> None:
        before = splits_of(photos).fingerprint
        file = photos / "red" / "00.png"
        image = Image.open(file).copy()
        image.putpixel((20, 20), (0, 255, 0))
        image.save(file)
        assert splits_of(photos).fingerprint != before

    def test_an_unreadable_image_is_named_or_skipped(self, photos: Path, caplog: pytest.LogCaptureFixture) -> None:
        (photos / "red" / "03.png").write_bytes(b"broken")
        with pytest.raises(DataError, match=r"Received: red/03\.png"):
            splits_of(photos)
        splits = splits_of(photos, "dataset.on_bad_image=skip")
        assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 23
        assert "skipped 1 unreadable images" in caplog.text
        with pytest.raises(DataError, match=r"Received: red/03\.png"):
            splits_of(photos)

    def test_a_broken_decode_leaves_nothing_behind(self, photos: Path) -> None:
        (photos / "red" / "03.png").write_bytes(b"broken")
        with pytest.raises(DataError):
            splits_of(photos)
        assert [path for path in Path("cache/images").iterdir() if path.suffix != ".lock"] == []

    def test_too_few_images_to_split_name_the_class(self, photos: Path) -> None:
        for number in range(2, 12):
            (photos / "red" / f"{number:02d}.png").unlink()
        with pytest.raises(DataError, match="class red: expected at least 3 images"):
            splits_of(photos)

    def test_chosen_classes_must_exist(self, photos: Path) -> None:
        with pytest.raises(DataError, match=r"Options: blue, red\. Received: blue, green"):
            splits_of(photos, "dataset.classes=[blue,green]")

    def test_folders_without_two_classes_are_refused(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="no image"):
            list_images(tmp_path / "empty", LIMITS)
        with pytest.raises(DataError, match="at least two class folders"):
            list_images(photos / "red", LIMITS)
        (tmp_path / "notes.zip").write_bytes(b"no archive")
        with pytest.raises(DataError, match=r"readable \.zip or \.tar"):
            list_images(tmp_path / "notes.zip", LIMITS)


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_digits_are_the_default_and_have_ten_classes(tmp_path: Path) -> None:
    splits = load_splits(compose_config([]).dataset, 32, tmp_path)
    assert splits.class_names == [str(digit) for digit in range(10)]
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 1797
    assert splits.train.take(np.arange(2)).shape == (2, 32, 32, 3)


@pytest.mark.parametrize(
    ("name", "sizes", "classes"),
    [("cifar10", (7000, 3000, 2000), 2), ("dogs_vs_cats", (1600, 400, 800), 2), ("flowers17", (816, 204, 340), 17)],
)
def test_real_archives(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sizes: tuple[int, ...], classes: int
) -> None:
    monkeypatch.setenv("ALEXNET_EXP_DATA", str(real_data))
    words = ["dataset.classes=[cat,ship]"] if name == "cifar10" else []  # all ten take ten seconds to decode
    splits = load_splits(compose_config([f"dataset={name}", *words]).dataset, 32, tmp_path)
    assert tuple(len(part) for part in (splits.train, splits.val, splits.test)) == sizes
    assert len(splits.class_names) == classes
    for part in (splits.train, splits.val, splits.test):
        assert len(set(np.bincount(part.labels))) == 1

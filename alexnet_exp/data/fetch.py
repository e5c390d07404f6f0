"""Class folders of images from lists of addresses: checked, without doubles, resumable."""

import csv
import hashlib
import io
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from rich.progress import Progress

from alexnet_exp.console import progress_bar
from alexnet_exp.cores import cores
from alexnet_exp.data.decode import pixel_limit
from alexnet_exp.data.request import Limits
from alexnet_exp.data.web import Unusable, fetch_many
from alexnet_exp.errors import DataError

EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
SMALLEST = 16  # pixels of an edge; smaller answers are spacers and counters
REPORT = "skipped.csv"
PARTIAL = ".partial"  # hidden from `list_images`
DOUBLE = "the same image as "


@dataclass(frozen=True)
class Link:
    """One address in the list of one class."""

    class_name: str
    url: str

    @property
    def key(self) -> str:
        """The name of its file without the extension."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


@dataclass
class Collection:
    """What is in the folder, and what is not and why.

    Attributes:
      files: of the links that gave an image.
      by_content: SHA-256 of the content -> the file that has it.
      skipped: the links that gave none, and the reasons.
      in_folder: images in each folder.
      new: images of each class that this call fetched.
    """

    files: dict[Link, Path] = field(default_factory=dict)
    by_content: dict[str, Path] = field(default_factory=dict)
    skipped: dict[Link, str] = field(default_factory=dict)
    in_folder: Counter[Path] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)

    def add(self, link: Link, file: Path, folder: Path) -> bool:
        """Moves a file to its folder, or deletes it if there is one with the same content."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if other := self.by_content.get(digest):
            file.unlink()
            self.skipped[link] = DOUBLE + _short(other)
            return False
        self.by_content[digest] = self.files[link] = file.replace(folder / file.name)
        self.in_folder[folder] += 1
        return True

    def is_double(self, link: Link) -> bool:
        """Whether a skipped link gave an image that is there already."""
        return self.skipped[link].startswith(DOUBLE)


def read_lists(paths: list[Path]) -> dict[str, list[str]]:
    """The addresses of each class, one a line; the file's name is the class. Blank lines and `#` comments are skipped.

    Raises:
      DataError: when a file cannot be read or has no address, or two have the same name.
    """
    lists: dict[str, list[str]] = {}
    for path in paths:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"expected a text file with one address a line. Received: {path} ({error})") from None
        addresses = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
        if not addresses:
            raise DataError(f"expected a text file with one address a line. Received: {path} with none")
        if path.stem in lists:
            raise DataError(f"expected a file for each class, named after it. Received: {path.stem} twice")
        lists[path.stem] = addresses
    return lists


def fetch_images(
    lists: dict[str, list[str]], output: Path, parts: dict[str, int], limits: Limits, max_pixels: int
) -> Collection:
    """Fills `output/<class>/`, or `output/<part>/<class>/` up to a number of images, in the order of the lists.

    Links that gave an image earlier are not asked again, dead ones are. Of equal images the first is kept, whatever its
    class. Files are named after the SHA-256 of the address. `output/skipped.csv` says why a link gave no image.

    Args:
      lists: addresses of each class.
      output: the folder.
      parts: images of each class wanted in each part, `{"train": 100, "val": 50}`; no more links are tried than it
        takes. Empty for all links and no parts.
      limits: of the requests.
      max_pixels: of an image.
    """
    rooms = {
        name: {output / part / name: count for part, count in parts.items()} or {output / name: len(urls)}
        for name, urls in lists.items()
    }
    links = {name: [Link(name, url) for url in dict.fromkeys(urls)] for name, urls in lists.items()}
    for name, folders in rooms.items():
        for folder in (*folders, output / PARTIAL / name):
            folder.mkdir(parents=True, exist_ok=True)
    with pixel_limit(max_pixels / 1e6), progress_bar() as bar:
        images = _there(output, links, rooms)
        try:
            _fill(output, links, rooms, images, limits, bar)
        finally:
            _report(output / REPORT, links, images)
    shutil.rmtree(output / PARTIAL)
    return images


def image_extension(content: bytes) -> str:
    """Decodes a file and returns the extension of its format.

    Raises:
      Unusable: when it is no image of a format that the web uses, damaged, tiny, or larger than Pillow's limit.
    """
    try:
        with Image.open(io.BytesIO(content), formats=list(EXTENSIONS)) as image:
            if min(image.size) < SMALLEST:
                raise Unusable(f"{image.width}x{image.height} pixels, expected edges of at least {SMALLEST}")
            image.load()
            return EXTENSIONS.get(str(image.format), ".jpg")  # MPO: several JPEG images in one file
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Unusable(f"more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except Unusable:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds for bytes that make no sense
        raise Unusable("not an image" if isinstance(error, UnidentifiedImageError) else f"damaged ({error})") from None


def _fill(
    output: Path,
    links: dict[str, list[Link]],
    rooms: dict[str, dict[Path, int]],
    images: Collection,
    limits: Limits,
    bar: Progress,
) -> None:
    """Asks for as many links of each class as images are missing, until there are enough or no more links."""
    left = {name: [link for link in some if link not in images.files | images.skipped] for name, some in links.items()}
    bars = {name: bar.add_task(name, total=sum(room.values())) for name, room in rooms.items()}

    staged: dict[Link, Path] = {}  # fetched by an earlier call that was interrupted, or by this one
    for name, some in links.items():
        staged |= _good_files(output / PARTIAL / name, some)

    def accept(link: Link, content: bytes) -> None:
        name = link.key + image_extension(content)
        staged[link] = _write(output / PARTIAL / link.class_name / name, content)

    while True:
        batch: list[Link] = []
        for name, room in rooms.items():
            there = sum(images.in_folder[folder] for folder in room)
            bar.update(bars[name], completed=there)
            count = max(0, sum(room.values()) - there)
            batch += left[name][:count]
            del left[name][:count]
        if not batch:
            return
        missing = {link: link.url for link in batch if link not in staged}
        for link, reason in fetch_many(missing, accept, limits):
            bar.advance(bars[link.class_name])
            if reason is not None:
                images.skipped[link] = reason
        for link in batch:  # in the order of the lists, whatever came first
            if link in staged:
                room = rooms[link.class_name]
                folder = next(folder for folder, count in room.items() if images.in_folder[folder] < count)
                images.new[link.class_name] += images.add(link, staged[link], folder)


def _there(output: Path, links: dict[str, list[Link]], rooms: dict[str, dict[Path, int]]) -> Collection:
    """What an earlier call fetched. Damaged files are deleted, and the doubles known then are not fetched again."""
    images = Collection()
    for name, some in links.items():
        for folder in rooms[name]:
            for link, file in _good_files(folder, some).items():
                images.add(link, file, folder)
    present = {_short(file) for file in images.files.values()}
    if (output / REPORT).exists():
        with (output / REPORT).open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row["reason"].startswith(DOUBLE) and row["reason"].removeprefix(DOUBLE) in present:
                    images.skipped[Link(row["class"], row["url"])] = row["reason"]
    return images


def _good_files(folder: Path, links: list[Link]) -> dict[Link, Path]:
    """The links that have a file in the folder, in their order; a damaged file is deleted."""
    by_key = {file.stem: file for file in folder.iterdir() if file.suffix in EXTENSIONS.values()}
    found = {link: by_key[link.key] for link in links if link.key in by_key}

    def is_good(file: Path) -> bool:
        try:
            image_extension(file.read_bytes())
        except Unusable:
            file.unlink()
            return False
        return True

    with ThreadPoolExecutor(cores()) as pool:
        return {
            link: file
            for (link, file), good in zip(found.items(), pool.map(is_good, found.values()), strict=True)
            if good
        }


def _write(path: Path, content: bytes) -> Path:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    return partial.replace(path)


def _report(path: Path, links: dict[str, list[Link]], images: Collection) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "url", "reason"])
    for some in links.values():
        writer.writerows([link.class_name, link.url, images.skipped[link]] for link in some if link in images.skipped)
    _write(path, text.getvalue().encode())


def _short(file: Path) -> str:
    return "/".join(file.parts[-2:])

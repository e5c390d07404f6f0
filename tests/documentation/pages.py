"""What README.md and docs/*.md tell their readers to run, to write and to look up."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`([\w./-]+)`:\n\n\Z")  # a line of its own above a block
INLINE = re.compile(r"`((?:\.venv/bin/)?(?:alexnet-exp|python|make|pip) [^`]+)`")
ROW = re.compile(r"^\| `((?:-m )?experiment=[^`]+)` \|")  # of a table of results


@dataclass(frozen=True)
class Block:
    """A block of code: its page, its first line, its language, and the file that it is the content of."""

    page: str
    line: int
    language: str
    text: str
    file: str | None


@dataclass(frozen=True)
class Command:
    """A line of a `sh` block, with the lines that continue it, or a command within a sentence."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text}"

    @property
    def programs(self) -> list[list[str]]:
        """The words of the programs that it calls, without the variables set before them."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="|&")
        lexer.whitespace_split = True
        programs: list[list[str]] = [[]]
        for word in lexer:
            if word in ("|", "&&"):
                programs.append([])
            elif programs[-1] or not re.match(r"[A-Z_]+=", word):
                programs[-1].append(word)
        return programs


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            above = text[: match.start()]
            name = FILE_NAME.search(above)
            line = above.count("\n") + 2
            yield Block(str(page.relative_to(REPO)), line, match[1], match[2], name[1] if name else None)


def commands() -> list[Command]:
    """All commands of `sh` blocks, in the order of the pages."""
    found = []
    for block in blocks():
        if block.language != "sh":
            continue
        line, pending = block.line, ""
        for number, text in enumerate(block.text.splitlines(), start=block.line):
            line = line if pending else number
            pending += text.removesuffix("\\")
            if not text.endswith(("\\", "|")):
                found.append(Command(block.page, line, " ".join(pending.split())))
                pending = ""
    return found


def inline_commands() -> list[Command]:
    """Commands within sentences and tables, but those that are cut by `...`."""
    found = []
    for page in PAGES:
        for number, line in enumerate(BLOCK.sub(_blank, page.read_text(encoding="utf-8")).splitlines(), start=1):
            texts = [*INLINE.findall(line), *(f"alexnet-exp {text}" for text in ROW.findall(line))]
            found += [Command(str(page.relative_to(REPO)), number, text) for text in texts if "..." not in text]
    return found


def _blank(block: re.Match[str]) -> str:
    return "\n" * block[0].count("\n")


def copy_repository(target: Path) -> None:
    """Copies what git knows, and adds what docs/how-to.md says to add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=REPO, capture_output=True, check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPO / name).is_file():  # not one that is deleted and not committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, target / name)
    for block in blocks():
        if block.file:
            (target / block.file).parent.mkdir(parents=True, exist_ok=True)
            (target / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "diff":
            subprocess.run(["git", "apply"], input=block.text, cwd=target, text=True, check=True)

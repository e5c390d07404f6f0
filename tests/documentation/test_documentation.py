"""What README.md and docs/*.md say can be done as it is written: every command, file and link."""

import argparse
import json
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from tests.config.test_config import FILES
from tests.conftest import REPO
from tests.documentation.pages import PAGES, Command, commands, copy_repository, inline_commands

COMMANDS = [*commands(), *inline_commands()]
FILLED = {  # what stands for something of the reader's
    "<id>": "0123456789abcdef0123456789abcdef",
    "<data>": "data",
    "<file>": "weights.safetensors",
    "<folder or archive>": "photos",
    "<folder of two classes>": "photos",
    "[STUDY]": "norm",
}
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with what docs/how-to.md adds, and empty files in place of the data."""
    folder = tmp_path_factory.mktemp("repository")
    copy_repository(folder)
    for name in (*(f"data/{file}" for file in FILES), "data/weights/mine.safetensors", "weights.safetensors", "photos"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def filled(command: Command) -> Command:
    text = command.text
    for placeholder, word in FILLED.items():
        text = text.replace(placeholder, word)
    return Command(command.page, command.line, text)


def test_every_job_composes(repository: Path) -> None:
    jobs = dict[tuple[str, ...], None]()
    for command in map(filled, COMMANDS):
        for program, *words in command.programs:
            if program == "alexnet-exp" and not (arguments := get_args_parser().parse_args(words)).help:
                jobs[tuple(arguments.overrides)] = None
            elif words[:1] == ["scripts/describe.py"]:
                jobs[tuple(word for word in words[1:] if "=" in word)] = None
            elif words[:1] == ["scripts/ablate.py"]:
                arm = min((repository / "conf" / "ablation" / words[1]).glob("*.yaml")).stem  # all are in test_study.py
                jobs[f"+ablation/{words[1]}={arm}", *(word for word in words[2:] if "=" in word)] = None
    assert len(jobs) > 20
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("compose_jobs.py")],
        input=json.dumps(list(jobs)),
        capture_output=True,
        text=True,
        cwd=repository,
        env={"PYTHONPATH": str(repository)},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


class Accepted(Exception):
    """A script's parser took its arguments."""


def accepting(parse: Callable[..., argparse.Namespace]) -> Callable[..., None]:
    def parse_and_stop(*arguments: object) -> None:
        parse(*arguments)
        raise Accepted

    return parse_and_stop


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_one_that_there_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in filled(command).programs:
        CHECKS[Path(words[0]).name](words[1:], monkeypatch)


def nothing(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other projects."""


def by_hydra(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    get_args_parser().parse_args(words)  # its overrides are composed in a test of their own


def by_make(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    targets = re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


def by_pip(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\.\[(\w+)\]", " ".join(words))) <= extras.keys()
    assert all((REPO / name).is_file() for name in words if name.endswith((".txt", ".lock")))


def by_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] == "-m":
        assert words[1] == "venv"
        return
    script = REPO / words[0]
    if "ArgumentParser" not in script.read_text():
        assert words[1:] == []
        return
    for name in ("parse_args", "parse_intermixed_args"):
        parse = getattr(argparse.ArgumentParser, name)
        monkeypatch.setattr(argparse.ArgumentParser, name, accepting(parse))
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(Accepted):
        runpy.run_path(str(script), run_name="__main__")


CHECKS = {
    "alexnet-exp": by_hydra,
    "make": by_make,
    "pip": by_pip,
    "python": by_python,
    "mlflow": nothing,
    "tensorboard": nothing,
    "printf": nothing,
    "curl": nothing,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_of_the_configuration_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    from document_config import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "python scripts/document_config.py writes it"

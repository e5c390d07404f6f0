"""Nothing that is loaded can execute code: no pickle but the restricted one, no other loader that runs its input."""

import ast
from pathlib import Path

import pytest

from tests.conftest import REPO

RESTRICTED = REPO / "alexnet_exp" / "model" / "formats" / "pickles.py"
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "torch", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "yaml.load", "yaml.load_all"}
METHODS = {"read_pickle", "unsafe_load", "full_load", "enable_unsafe_deserialization"}
ARGUMENTS = {"allow_pickle": "False", "safe_mode": "True", "weights_only": "True"}  # all else may execute


def dangers(source: str) -> list[str]:
    return [danger for node in ast.walk(ast.parse(source)) for danger in dangers_of(node)]


def dangers_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names if name.name.split(".")[0] in MODULES]
        case ast.ImportFrom(module=module, names=names):
            return [module or ""] * ((module or "").split(".")[0] in MODULES) + [
                name.name for name in names if name.name in METHODS
            ]
        case ast.Call(func=func, keywords=keywords):
            called = ast.unparse(func)
            values = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
            unsafe = [name for name, safe in ARGUMENTS.items() if values.get(name, safe) != safe]
            if not values.get("trusted", "CONSTANT").isupper():
                unsafe.append("trusted")
            if called in CALLS or called.split(".")[-1] in METHODS or unsafe:
                return [f"{called}({', '.join(unsafe)})"]
    return []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "def f():\n    import torch",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "keras.saving.load_model(path, safe_mode=False)",
        "skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))",
        "eval(text)",
    ],
)
def test_dangers_are_seen(source: str) -> None:
    assert dangers(source)


def test_what_is_safe_is_allowed() -> None:
    assert not dangers("np.load(path, allow_pickle=False); yaml.safe_load(text); re.compile(x); network.compile(y)")


def test_no_code_of_the_project_loads_what_can_execute() -> None:
    files = [path for folder in ("alexnet_exp", "scripts") for path in (REPO / folder).rglob("*.py")]
    files.remove(REPO / "scripts" / "benchmarks" / "references.py")  # trains in PyTorch, loads nothing
    assert RESTRICTED in files
    found = {str(path.relative_to(REPO)): dangers(path.read_text()) for path in files if path != RESTRICTED}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_restricted_unpickler_is_the_only_use_of_pickle() -> None:
    used = [ast.unparse(node) for node in ast.walk(ast.parse(Path(RESTRICTED).read_text()))
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"]  # fmt: skip
    assert used == ["pickle.Unpickler"]

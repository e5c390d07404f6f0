"""Pickles of which nothing is executed: each name that they refer to is looked up in a short list of stand-ins.

A pickle is a program that may call whatever it names. Here it can name only what a format needs, and what it gets are
sealed classes of this project: it neither reaches the real functions nor changes the stand-ins. NumPy's own
reconstruction is a stand-in, too, because its C code trusts the state that it is given. A hostile pickle can still
keep a process busy for ever, with a key of tuples in tuples. Protocol 0 is not read.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from alexnet_exp.errors import WeightsError, one_line

DTYPES = {"f2": "<f2", "f4": "<f4", "f8": "<f8", "O8": "O", "O": "O"}


def load_pickle(
    file: IO[bytes],
    label: str,
    allowed: Mapping[tuple[str, str], Any],
    storage: Callable[[Any], Any] | None = None,
) -> Any:
    """Reads one pickle.

    Args:
      file: stands at its beginning.
      label: names the file in errors.
      allowed: (module, name) -> what the pickle gets for it.
      storage: makes an object of a persistent id; None refuses them.

    Raises:
      WeightsError: when the pickle names anything else, or is damaged.
    """

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in allowed:
                raise WeightsError(
                    f"{label}: expected a pickle that holds arrays alone. Received: one that calls {module}.{name}; "
                    "nothing of it was executed"
                )
            return allowed[module, name]

        def persistent_load(self, pid: Any) -> Any:
            if storage is None:
                raise WeightsError(f"{label}: expected a pickle without persistent ids. Received: one with them")
            return storage(pid)

    try:
        _check_memo(file)
        return Restricted(file, encoding="latin1").load()  # Python 2 wrote bytes as strings
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its next byte happens to mean
        raise WeightsError(f"{label}: expected a whole pickle. Received: a damaged one ({one_line(error)})") from None


def _check_memo(file: IO[bytes]) -> None:
    """A pickle numbers what it remembers one by one; memory is taken for all numbers up to the largest."""
    start = file.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > count:
            raise ValueError(f"number {argument} in a memo of at most {count}")
    file.seek(start)


class Sealed(type):
    """The type of stand-ins, which all files share: a pickle may set attributes of what it names."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise TypeError(f"expected the state of an object, received {name} of {cls.__name__}")


class PickledDtype(metaclass=Sealed):
    """Stands in for `numpy.dtype`."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, align: object = False, copy: object = True) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def resolve(self) -> np.dtype:
        if self.code not in DTYPES or self.order not in ("<", "|", "="):
            raise ValueError(f"expected a little-endian float array, received {self.order}{self.code}")
        return np.dtype(DTYPES[self.code])


class PickledArray(metaclass=Sealed):
    """Stands in for `numpy.core.multiarray._reconstruct` and the array that it makes."""

    __slots__ = ("state",)

    def __init__(self, kind: object, shape: object, code: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    @property
    def array(self) -> np.ndarray | list[Any]:
        """The array, or the objects of an array of objects; made when it is asked for, because many may share bytes."""
        _, shape, dtype, fortran, content = self.state
        kind = dtype.resolve()
        if kind == np.dtype("O"):
            return list(content)
        sizes = tuple(int(size) for size in shape)
        if min(sizes, default=0) < 0:
            raise ValueError(f"shape {sizes}")
        flat = np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, kind)
        return flat.reshape(sizes, order="F" if fortran else "C")


class PickledBytes(bytes, metaclass=Sealed):
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes in an old protocol."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> "PickledBytes":
        return super().__new__(cls, text.encode("latin1"))


NUMPY = {
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): PickledArray  # NumPy 2 renamed the module
        for core in ("core", "_core")
    },
    ("numpy", "ndarray"): "numpy.ndarray",
    ("numpy", "dtype"): PickledDtype,
    ("_codecs", "encode"): PickledBytes,
}


def load_arrays(data: bytes, label: str) -> Any:
    """Reads a pickle of NumPy arrays in dicts, lists and tuples; arrays come as `PickledArray`."""
    return load_pickle(io.BytesIO(data), label, NUMPY)

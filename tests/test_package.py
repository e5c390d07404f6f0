"""What importing the package settles for TensorFlow."""

import os
import subprocess
import sys

import pytest

from tests.conftest import REPO

USED = "import alexnet_exp; from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled())"


@pytest.mark.parametrize(("of_the_user", "expected"), [({}, "True"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "False")])
def test_tensorflow_computes_with_onednn_unless_the_user_says_otherwise(
    of_the_user: dict[str, str], expected: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    ran = subprocess.run(
        [sys.executable, "-c", USED],
        env=inherited | {"PYTHONPATH": str(REPO)} | of_the_user,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == expected

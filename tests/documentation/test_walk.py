"""Every command of README.md and docs/*.md is run as it is written, one after the other, in a copy of the repository.

Budgets are small: a few images, an epoch. What a page asks its reader for (photos, an id, data) is there.
"""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.documentation.pages import Command, blocks, commands, copy_repository

pytestmark = pytest.mark.docs

NOT_HERE = {  # the beginning of a command -> what it needs
    "make test": "is the suite that this is a part of",
    "pip install": "a package index",
    ".venv/bin/pip install": "a package index",
    "python -m venv .venv-ray": "a package index",
    ".venv-ray/bin/": "an environment with Ray (make test-launchers)",
    "mlflow server --host 0.0.0.0": "PostgreSQL and an object store",
    "alexnet-exp -m hydra/launcher=slurm": "a Slurm cluster (make test-launchers)",
}
SMALL = {  # in conf/: what is written -> what is there while this runs
    r"epochs: \d+": "epochs: 1",
    r"limit_per_class: null": "limit_per_class: 8",
}
SMALLER = {  # in commands
    "--seeds 5": "--seeds 2",
    "seed=0,1,2": "seed=0,1",
    "n_trials=50": "n_trials=2",
    "training.epochs=40": "training.epochs=1",
    "training.epochs=10": "training.epochs=1",
    "training.batch_size=512": "training.batch_size=8",
    "--train 100 --val 50": "--train 10 --val 5",
    "experiment=dogs_vs_cats_features_svm": "experiment=dogs_vs_cats_features_svm strategy.components=null",
    "scripts/reproduce.py": "scripts/reproduce.py --dry-run",
}
FILLED = {
    "<data>": "data",
    "<file>": "data/weights/alexnet_conv1-5.npz",
    "<folder or archive>": "photos",
    "<folder of two classes>": "photos",
    "[STUDY]": "",
    " STUDY": " norm",
}
SERVERS = {"make ui": "/", "mlflow models serve": "/ping"}  # they run until they are stopped
UNTIL_STOPPED = ("runs.py watch",)

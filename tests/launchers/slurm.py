"""Slurm on one machine: munged, slurmctld and slurmd of Debian on the loopback device, as long as a test needs them."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.tracking.servers import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
SEARCH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
START_SECONDS = 30
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
PluginDir={plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no Slurm here; None where it can."""
    if absent := [program for program in PROGRAMS if not shutil.which(program, path=SEARCH)]:
        return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "starting Slurm's daemons takes root"


@contextlib.contextmanager
def cluster(cpus: int) -> Iterator[dict[str, str]]:
    """Starts a cluster of one node; yields the environment in which `sbatch` finds it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = os.environ | {"PATH": SEARCH, "SLURM_CONF": str(folder / "slurm.conf")}
    with contextlib.ExitStack() as daemons:
        daemons.callback(shutil.rmtree, folder, ignore_errors=True)
        _configure(folder, cpus)
        munge = ["--socket", folder / "munge.socket", "--key-file", folder / "munge.key", "--force"]
        files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
        daemons.enter_context(_running(["munged", "--foreground", *munge, *files], environment, folder))
        _wait_for((folder / "munge.socket").exists, folder)
        daemons.enter_context(_running(["slurmctld", "-D"], environment, folder))
        daemons.enter_context(_running(["slurmd", "-D"], environment, folder))
        _wait_for(lambda: _says(environment, "sinfo", "--format=%T") == "idle", folder)
        yield environment
        _says(environment, "scancel", "--partition=test")
        _wait_for(lambda: not _says(environment, "squeue"), folder)


def _configure(folder: Path, cpus: int) -> None:
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    values = {"host": socket.gethostname().partition(".")[0], "folder": folder, "cpus": cpus}
    ports = {"controller_port": free_port(), "node_port": free_port()}
    (plugins,) = Path("/usr/lib").glob("*/slurm-wlm")
    (folder / "slurm.conf").write_text(CONFIGURATION.format(plugins=plugins, **values, **ports))


@contextlib.contextmanager
def _running(command: list, environment: dict[str, str], folder: Path) -> Iterator[None]:
    with open(folder / "daemons.log", "ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _says(environment: dict[str, str], program: str, *arguments: str) -> str:
    header = [] if program == "scancel" else ["--noheader"]
    done = subprocess.run([program, *header, *arguments], env=environment, capture_output=True, text=True)
    return done.stdout.strip()


def _wait_for(condition: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < until, "\n".join(file.read_text() for file in folder.glob("*.log"))
        time.sleep(0.1)

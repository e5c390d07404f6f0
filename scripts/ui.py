"""Opens the MLflow UI on the project's store, for this machine alone: python scripts/ui.py [PORT]"""

import os
import sys

from alexnet_exp.cli import mistakes_in_one_line
from alexnet_exp.config.compose import compose_config
from alexnet_exp.tracking.reach import without_credentials
from alexnet_exp.tracking.store import open_store, use_store

LOCAL_AND_QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONWARNINGS": "ignore",
}


@mistakes_in_one_line()
def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "5000"
    tracking = compose_config([]).tracking
    if str(tracking.uri).startswith("http"):
        sys.exit(f"{without_credentials(str(tracking.uri))} is a tracking server: its UI is at this address")
    experiment_id = open_store(tracking.uri, tracking.experiment)
    uri = use_store(tracking.uri)
    page = f"http://127.0.0.1:{port}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    print(f"MLflow UI of {without_credentials(uri)}, in some seconds, until Ctrl-C: {page}", flush=True)
    os.environ.update(LOCAL_AND_QUIET)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()

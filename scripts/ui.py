"""Opens the MLflow UI on the project's store: python scripts/ui.py [PORT]"""

import os
import sys

from alexnet_exp.tracking.store import MLRUNS, open_store

LOCAL_AND_FAST = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def main() -> None:
    port = sys.argv[1] if len(sys.argv) > 1 else "5000"
    open_store(os.environ.get("MLFLOW_TRACKING_URI"), "alexnet")
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{MLRUNS / 'mlflow.db'}")
    print(f"MLflow UI of {uri} on http://127.0.0.1:{port} (Ctrl-C ends it; choose 'Model training' at the top left)")
    os.environ.update(LOCAL_AND_FAST)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()

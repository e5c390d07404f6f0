"""The description of a run that the MLflow UI shows."""

from alexnet_exp.config import RunConfig
from alexnet_exp.config.schema import FileWeights, RunWeights

NOTE = "mlflow.note.content"  # the tag that the UI renders as Markdown


def note(config: RunConfig, run_id: str) -> str:
    """What a run is, and the commands that repeat and use it, in Markdown."""
    match config.weights:
        case FileWeights(name=name):
            weights = f", pretrained with `{name}`"
        case RunWeights(run_id=source):
            weights = f", pretrained in run `{source}`"
        case _:
            weights = ""
    arm = f"Arm `{config.run.arm}` of" if config.run.arm else "In"
    member = f" {arm} the study `{config.run.study}`." if config.run.study else ""
    return (
        f"**{config.strategy.name}** with `{config.model.name}` on `{config.dataset.name}`{weights}, "
        f"seed {config.seed}.{member}\n\n"
        "```sh\n"
        f"python scripts/runs.py repeat {run_id}    # run it again and compare\n"
        f"python scripts/predict.py {run_id} <image or folder>\n"
        "```\n"
    )

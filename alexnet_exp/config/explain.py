"""What Hydra and OmegaConf say about a configuration, in the words of this project."""

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from alexnet_exp.errors import ConfigError, UserError, one_line, printable

EXTRAS = {
    "'hydra/launcher/joblib'": "joblib",
    "'hydra/launcher/submitit_slurm'": "slurm",
    "'hydra/launcher/ray'": "ray",
    "'optuna.samplers.": "optuna",
}  # what Hydra does not find, and the extra of pyproject.toml that brings it
NO_OPTION = "Config group override must be"  # how a plain ValueError of Hydra's begins, for model=null
LAYER_TABLES = ("model.conv.", "model.dense.", "model.dropout.rates.")


def is_mistake(error: Exception) -> bool:
    """Whether a user made it, so that a traceback is of no use."""
    known = (UserError, HydraException, OmegaConfBaseException)
    return isinstance(error, known) or str(error).startswith(NO_OPTION)


def explain(error: Exception) -> list[str]:
    """What to tell the user, with the options where a name is unknown; a line for each mistake."""
    if isinstance(error, MissingConfigException | InstantiationException):
        for name, extra in EXTRAS.items():
            if name in str(error):
                return [f"{name}: expected the extra `{extra}`, pip install -e '.[{extra}]'. Received: none"]
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, received = error.missing_cfg_file.rpartition("/")
        return [f"{group}: unknown option. Options: {', '.join(error.options)}. Received: {received}"]
    if str(error).startswith(NO_OPTION):
        return ["<group>=<option>: expected the name of an option. Options: the files of conf/<group>/. Received: null"]
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, MissingMandatoryValue):
        return [f"{cause.full_key}: a value is required, {cause.full_key}=<value>. Received: none"]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(cause.parent_node, DictConfig):
        options = ", ".join(str(key) for key in cause.parent_node)
        key = str(cause.full_key)
        hint = f" (+{key}=... adds a layer)" if key.startswith(LAYER_TABLES) else ""
        return [f"{key}: unknown option. Options: {options}. Received: {cause.key}{hint}"]
    lines = str(error).split("\n") if isinstance(error, ConfigError) else [one_line(error)]
    return [printable(line) for line in lines]

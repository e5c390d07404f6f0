"""What no single field can know: layer names, sizes, and groups that do not go together."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from alexnet_exp.config.geometry import minimum_input_size, output_sizes
from alexnet_exp.config.schema import (
    Cosine,
    FeaturesMlp,
    FeaturesSvm,
    FileWeights,
    Finetune,
    ModelConfig,
    NoWeights,
    RunConfig,
    Scratch,
)


def cross_field_errors(config: RunConfig) -> list[str]:
    """One line for each contradiction in the configuration; an empty list when there is none."""
    return [
        *_layer_names(config),
        *_shapes(config),
        *_placement(config),
        *_strategy(config),
        *_training(config),
        *_schedule(config),
        *_dataset(config),
    ]


def _layer_names(config: RunConfig) -> Iterator[str]:
    model = config.model
    yield from _unknown("model.conv", model.conv, [f"conv{i}" for i in range(1, 10)])
    yield from _unknown("model.dense", model.dense, [f"fc{i}" for i in range(1, 20)])
    yield from _unknown("model.pool.layers", model.pool.layers, list(model.conv))
    yield from _unknown("model.norm.layers", model.norm.layers, model.layers)
    yield from _unknown("model.dropout.rates", model.dropout.rates, model.layers)
    yield from _unknown("model.initializer.bias_ones", model.initializer.bias_ones, model.layers)
    if not isinstance(config.weights, NoWeights):
        yield from _unknown("weights.fresh", config.weights.fresh, model.layers)
    if isinstance(config.strategy, Finetune):
        for number, stage in enumerate(config.strategy.stages):
            yield from _unknown(f"strategy.stages.{number}.layers", stage.layers, model.layers)
    if isinstance(config.strategy, FeaturesSvm | FeaturesMlp):
        cuts = [name for layer in model.layers[:-1] for name in (layer, model.pools.get(layer)) if name]
        yield from _unknown("strategy.cut", [config.strategy.cut], cuts)


def _unknown(where: str, names: Iterable[str], options: list[str]) -> Iterator[str]:
    for name in names:
        if name not in options:
            yield f"{where}: expected names of layers. Options: {', '.join(options)}. Received: {name}"


def _shapes(config: RunConfig) -> Iterator[str]:
    model = config.model
    if min(output_sizes(model).values(), default=1) < 1:
        yield (
            f"model.input_size: expected at least {minimum_input_size(model)} pixels for model {model.name}. "
            f"Received: {model.input_size}"
        )
    load_size = config.augmentation.load_size
    if config.evaluation.views == "ten_crop" and (load_size or 0) <= model.input_size:
        yield (
            f"evaluation.views: expected augmentation.load_size above the model's input size, {model.input_size}, "
            f"for ten_crop. Received: {load_size}"
        )
    if load_size is not None and load_size < model.input_size:
        yield (
            f"augmentation.load_size: expected at least the model's input size, {model.input_size}. "
            f"Received: {load_size}"
        )
    channels = 3
    for name, conv in model.conv.items():
        if channels % conv.groups or conv.filters % conv.groups:
            yield (
                f"model.conv.{name}.groups: expected a divisor of {channels} input channels "
                f"and {conv.filters} filters. Received: {conv.groups}"
            )
        channels = conv.filters


def _placement(config: RunConfig) -> Iterator[str]:
    model = config.model
    if (model.initializer.kind == "normal") != (model.initializer.stddev is not None):
        yield (
            "model.initializer.stddev: expected a number for kind normal and null for the others. "
            f"Received: {model.initializer.stddev} for {model.initializer.kind}"
        )
    dropped = [name for name, rate in model.dropout.rates.items() if rate]
    for where, part, layers in (
        ("norm", model.norm, model.norm.layers),
        ("dropout", model.dropout, dropped),
    ):
        if "head" in layers and part.position in ("after_activation", "after_pool"):
            yield (
                f"model.{where}.position: expected before_layer or before_activation where the head is among "
                f"the layers: nothing follows its softmax. Received: {part.position}"
            )
    if model.norm.kind != "none" and not model.norm.layers:
        yield f"model.norm.layers: expected the layers that norm.kind={model.norm.kind} is for. Received: []"
    if model.norm.kind == "lrn" and (dense := [name for name in model.norm.layers if name not in model.conv]):
        yield f"model.norm.layers: expected convolutional layers alone for lrn. Received: {', '.join(dense)}"


def _strategy(config: RunConfig) -> Iterator[str]:
    if isinstance(config.strategy, Scratch) and not isinstance(config.weights, NoWeights):
        yield f"weights: expected none for strategy scratch. Received: {config.weights.name}"
    if isinstance(config.strategy, FeaturesSvm) and config.evaluation.test_each_epoch:
        yield "evaluation.test_each_epoch: expected false for features_svm, which has no epochs. Received: True"
    if isinstance(config.strategy, Finetune) and isinstance(config.weights, NoWeights):
        yield "weights: expected pretrained layers (weights=...) for strategy finetune. Received: none"
    models = config.weights.models if isinstance(config.weights, FileWeights) else None
    if models is not None and config.model.name not in models:
        yield (
            f"model: expected one that weights={config.weights.name} fits. "
            f"Options: {', '.join(models)}. Received: {config.model.name}"
        )
    if isinstance(config.strategy, FeaturesSvm | FeaturesMlp):
        size = output_sizes(config.model).get(config.strategy.cut, 1)
        if config.strategy.crops > size:
            yield (
                f"strategy.crops: expected at most {size}, the height of the features of {config.strategy.cut}. "
                f"Received: {config.strategy.crops}"
            )
        if config.strategy.scaling == "sqrt_l2" and (cause := _negative_features(config.model, config.strategy.cut)):
            yield (
                "strategy.scaling: expected none or standardize where features can be negative. "
                f"Received: sqrt_l2 with {cause}"
            )
    if isinstance(config.strategy, Finetune) and not isinstance(config.weights, NoWeights):
        trained = {layer for stage in config.strategy.stages for layer in stage.layers}
        if frozen := [layer for layer in config.weights.fresh if layer not in trained]:
            yield (
                "strategy.stages: expected every layer that starts anew (weights.fresh) in a stage. "
                f"Received: none with {', '.join(frozen)}"
            )


def _negative_features(model: ModelConfig, cut: str) -> str | None:
    """What makes features negative: the activation, or a norm between it and the pooling that the network is cut at."""
    if model.activation not in ("relu", "sigmoid"):
        return f"model.activation={model.activation}"
    pooled = next((layer for layer, pool in model.pools.items() if pool == cut), None)
    signed = model.norm.kind not in ("none", "lrn") and model.norm.position == "after_activation"
    return f"model.norm.position=after_activation in {pooled}" if signed and pooled in model.norm.layers else None


def _training(config: RunConfig) -> Iterator[str]:
    training = config.training
    if training.loss == "mean_squared_error" and training.label_smoothing:
        yield f"training.label_smoothing: expected 0 for the mean squared error. Received: {training.label_smoothing}"
    if training.devices != "auto" and training.devices > training.batch_size:
        yield (
            f"training.devices: expected at most training.batch_size, {training.batch_size}: a batch is divided among "
            f"the devices. Received: {training.devices}"
        )


def _schedule(config: RunConfig) -> Iterator[str]:
    match config.strategy:
        case Finetune(stages=stages):
            epochs = {f"strategy.stages.{number}.epochs": stage.epochs for number, stage in enumerate(stages)}
        case FeaturesMlp():
            epochs = {"strategy.epochs": config.strategy.epochs}
        case FeaturesSvm():
            epochs = {}
        case _:
            epochs = {"training.epochs": config.training.epochs}
    if isinstance(config.schedule, Cosine):
        for name, count in epochs.items():
            if config.schedule.warmup_epochs >= count:
                yield (
                    f"schedule.warmup_epochs: expected fewer than {name}, {count}. "
                    f"Received: {config.schedule.warmup_epochs}"
                )


def _dataset(config: RunConfig) -> Iterator[str]:
    dataset = config.dataset
    if dataset.source == "digits" and dataset.group_pattern is not None:
        yield (
            "dataset.group_pattern: expected null for the digits, whose writers are not known. "
            f"Received: {dataset.group_pattern}"
        )
    if dataset.source == "images" and dataset.root is None:
        yield "dataset.root: expected a folder or an archive of class folders. Received: null"


def missing_files(config: RunConfig) -> Iterator[str]:
    """One line for each file that the configuration names, and that is neither here nor to be downloaded."""
    dataset, weights = config.dataset, config.weights
    if dataset.source == "images" and dataset.root is not None and not Path(dataset.root).exists():
        yield _absent("dataset.root", f"the folder or archive of {dataset.name}", dataset.root, config.paths.data)
    if isinstance(weights, FileWeights) and weights.url is None and not Path(weights.path).is_file():
        yield _absent("weights.path", f"the file of weights={weights.name}", weights.path, config.paths.data)


def _absent(field: str, what: str, path: str, data: str) -> str:
    in_data = Path(path).is_relative_to(data)
    hint = ": put it there, or set ALEXNET_EXP_DATA to the folder that holds it" if in_data else ""
    return f"{field}: expected {what} at {path}{hint}. Received: no such file"

"""Output sizes of the network, from its configuration alone."""

from alexnet_exp.config.schema import ModelConfig


def output_sizes(model: ModelConfig, input_size: int | None = None) -> dict[str, int]:
    """Height (and width) of the output of each convolution and pooling, in pixels, in order.

    A size below one means that the image is too small for the layer.
    """
    size = model.input_size if input_size is None else input_size
    sizes = {}
    for name, conv in model.conv.items():
        size = sizes[name] = _window(size, conv.kernel, conv.stride, conv.padding)
        if name in model.pools:
            size = sizes[model.pools[name]] = _window(size, model.pool.size, model.pool.stride, model.pool.padding)
    return sizes


def minimum_input_size(model: ModelConfig) -> int:
    """The smallest image, in pixels, that leaves at least one pixel after every layer."""
    return next(size for size in range(1, 10_000) if min(output_sizes(model, size).values(), default=1) >= 1)


def _window(size: int, kernel: int, stride: int, padding: str | int) -> int:
    if padding == "same":
        return -(-size // stride)
    margin = 0 if padding == "valid" else int(padding)
    return (size + 2 * margin - kernel) // stride + 1 if size + 2 * margin >= kernel else 0

"""The kernels of the networks whose weights are public, by `conf/model`."""

Shapes = dict[str, tuple[int | None, ...]]  # kernels HWIO, I per group; None, the classes, is any number
TWO_TOWERS: Shapes = {
    "conv1": (11, 11, 3, 96),
    "conv2": (5, 5, 48, 256),
    "conv3": (3, 3, 256, 384),
    "conv4": (3, 3, 192, 384),
    "conv5": (3, 3, 192, 256),
}
ONE_TOWER: Shapes = {
    "conv1": (11, 11, 3, 64),
    "conv2": (5, 5, 64, 192),
    "conv3": (3, 3, 192, 384),
    "conv4": (3, 3, 384, 256),
    "conv5": (3, 3, 256, 256),
}
DENSE: Shapes = {"fc6": (9216, 4096), "fc7": (4096, 4096), "head": (4096, None)}
KERNELS: dict[str, Shapes] = {
    "alexnet_2012": TWO_TOWERS | DENSE,
    "caffenet": TWO_TOWERS | DENSE,
    "alexnet_torchvision": ONE_TOWER | DENSE,
}
TWO_GROUPS = ("conv2", "conv4", "conv5")

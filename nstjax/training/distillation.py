"""Distilling VGG-19 into a slim network: teachers, students, and the loss of a student."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nstjax.images.picture import calibration_images
from nstjax.networks import pretrained, vgg
from nstjax.networks.normalise import normalise
from nstjax.universal import levels

SHALLOW = ("relu1_1", "relu2_1", "relu3_1")
DEEP = ("relu4_1", "relu4_2", "relu5_1")
# A batch is learned in equal parts under each padding, so that the student serves with both.
_PADDINGS = ("zero", "reflect")
_EPSILON = 1e-6


def shallow_teacher(name: str) -> Callable:
    """VGG-19 itself with max pooling, its filters normalised (Gatys et al.).

    Args:
      name: weights that reach relu3_1 (`nstjax.networks.load`).

    Returns:
      `teacher(images [..., H, W, 3], padding) -> {tap: [..., h, w, c]}` at the taps `SHALLOW`.
    """
    loaded = normalise(pretrained.load(name), calibration_images(), pooling="max")

    def teacher(images, padding):
        network = vgg.VGG19(loaded.preprocessing, pooling="max", padding=padding)
        return network.apply({"params": loaded.params}, images, SHALLOW)

    return teacher


def deep_teacher(path: str | Path) -> Callable:
    """A slim VGG-19 with linear maps to the normalised features of the full one.

    Args:
      path: of a slim encoder to relu5_1 of Wang et al. 2020 as safetensors: convolutions `conv11` ...,
        maps `conv41_aux` and `conv51_aux`, and a 1 x 1 layer `conv0` before them, in PyTorch's layout.

    Returns:
      `teacher(images [..., H, W, 3], padding) -> {tap: [..., h, w, c]}` at the taps `DEEP`; at relu4_2,
      for which the file has no map, the slim features. It always pads by reflection.

    Raises:
      UserError: for a file that is missing or holds anything else.

    References:
      Wang et al. 2020, https://arxiv.org/abs/2003.08436
    """
    params, maps = levels.read_slim_encoder(path, 5)

    def teacher(images, padding):
        network = vgg.VGG19(levels.RGB, vgg.SLIM_WIDTHS, "max", "reflect")
        features = network.apply({"params": params}, images, DEEP)
        return {tap: apply_map(maps[tap], x) if tap in maps else x for tap, x in features.items()}

    return teacher


def make_student(widths: Sequence[int], taps: Sequence[str]) -> Callable:
    """A slim VGG-19 with max pooling: `student(params, images, padding) -> {tap: [..., h, w, c]}`."""

    def student(params, images, padding):
        return vgg.VGG19(vgg.TORCHVISION, widths, "max", padding).apply({"params": params}, images, taps)

    return student


def make_loss(student: Callable, teacher: Callable, scales: Mapping, frozen: Mapping) -> Callable:
    r"""The loss of a student: relative errors of its features, linearly mapped, and of their Gram matrices.

    .. math:: \sum_{tap} \frac{\sum (m - t)^2}{\sum t^2} + \frac{\sum \|G_m - G_t\|_F^2}{\sum \|G_t\|_F^2}

    m are the student's features, mapped, t the teacher's, scaled; G is the Gram matrix of a picture,
    divided by its number of positions. The inner sums run over a batch.

    Args:
      student: from `make_student`.
      teacher: `shallow_teacher` or `deep_teacher`.
      scales: {tap: [channels]}, factors of the teacher's features.
      frozen: {conv: {"kernel", "bias"}} of the student that stay as they are.

    Returns:
      `loss(params, images [batch, H, W, 3]) -> (scalar, {"tap/feature": scalar, "tap/gram": scalar})`
      for params {"vgg": {conv: {"kernel", "bias"}}, "maps": {tap: {"kernel", "bias"}}}.
    """

    def loss(params, images):
        report = {}
        for padding, part in zip(_PADDINGS, jnp.split(images, len(_PADDINGS)), strict=True):
            wanted = jax.lax.stop_gradient(teacher(part, padding))
            for tap, x in student({**frozen, **params["vgg"]}, part, padding).items():
                mapped, target = apply_map(params["maps"][tap], x), scales[tap] * wanted[tap]
                errors = {
                    "feature": _relative_error(mapped, target),
                    "gram": _relative_error(_gram(mapped), _gram(target)),
                }
                for name, value in errors.items():
                    so_far = report.get(f"{tap}/{name}", 0.0)
                    report[f"{tap}/{name}"] = so_far + value / len(_PADDINGS)
        return sum(report.values()), report

    return loss


def apply_map(linear: Mapping, x: jax.Array) -> jax.Array:
    """Features [..., c] times a kernel [c, k] plus a bias [k]."""
    return x @ linear["kernel"] + linear["bias"]


def importance(linear: Mapping) -> jax.Array:
    """The weight of each student channel in the teacher's features: norms [c] of the rows of a map's kernel.

    Scaled by it, a channel contributes to the squared distance of Gram matrices as much as to the teacher's,
    if the rows are orthogonal.
    """
    return jnp.sqrt(jnp.sum(jnp.square(linear["kernel"]), -1))


def _relative_error(x, target):
    return jnp.sum(jnp.square(x - target)) / (jnp.sum(jnp.square(target)) + _EPSILON)


def _gram(x):
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return jnp.einsum("bnc,bnd->bcd", flat, flat, precision="highest") / flat.shape[1]


def unit_scales(teacher: Callable, batches: Sequence) -> dict[str, jax.Array]:
    """{tap: [channels]}: factors that make the mean square of each channel of a teacher 1 over some batches.

    Some channels of the normalised network fire rarely but then a hundred times as strongly as others, and
    would dominate a sum of squares over channels.
    """
    squares = jax.jit(lambda images: {t: jnp.mean(x**2, (0, 1, 2)) for t, x in teacher(images).items()})
    measured = [squares(batch) for batch in batches]
    return jax.tree.map(lambda *m: 1 / jnp.sqrt(sum(m) / len(m) + _EPSILON), *measured)


def fit_maps(student: Callable, teacher: Callable, pictures: Sequence) -> dict:
    """The linear maps from a student's features to a teacher's with the least mean squared error.

    Args:
      student: `student(images) -> {tap: [..., c]}`.
      teacher: `teacher(images) -> {tap: [..., k]}` at the same taps.
      pictures: a sequence of [..., H, W, 3].

    Returns:
      {tap: {"kernel": [c, k], "bias": [k]}} float32.
    """
    moments, products = {}, {}
    for images in pictures:
        wanted = teacher(images)
        for tap, x in student(images).items():
            x = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
            x = np.concatenate([x, np.ones((len(x), 1))], 1)
            y = np.asarray(wanted[tap], np.float64).reshape(len(x), -1)
            moments[tap] = moments.get(tap, 0) + x.T @ x
            products[tap] = products.get(tap, 0) + x.T @ y
    maps = {}
    for tap, moment in moments.items():
        ridge = 1e-6 * np.trace(moment) / len(moment) * np.eye(len(moment))
        solution = np.linalg.solve(moment + ridge, products[tap]).astype(np.float32)
        maps[tap] = {"kernel": jnp.asarray(solution[:-1]), "bias": jnp.asarray(solution[-1])}
    return maps

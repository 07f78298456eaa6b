"""Distilling VGG-19 into a slim network: teacher, student, and the loss of a student."""

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nstjax.errors import UserError
from nstjax.networks import pretrained, vgg

SHALLOW = ("relu1_1", "relu2_1", "relu3_1")
DEEP = ("relu4_1", "relu4_2", "relu5_1")
# A batch is learned in equal parts under each padding, so that the student serves with both.
_PADDINGS = ("zero", "reflect")
# Of Adam, per step, in units of white.
PURSUIT_RATE = 0.02
_EPSILON = 1e-6


def make_teacher(name: str, taps: Sequence[str]) -> Callable:
    """A network with max pooling, to be imitated.

    Args:
      name: weights that reach the deepest tap (`nstjax.networks.load`).
      taps: such as `SHALLOW` or `DEEP`.

    Returns:
      `teacher(images [..., H, W, 3], padding) -> {tap: [..., h, w, c]}`.

    Raises:
      UserError: for weights that are unknown, cannot be read or end before a tap.
    """
    loaded = pretrained.load(name)
    reached = vgg.reachable_taps(loaded.params)
    for tap in taps:
        if tap not in reached:
            raise UserError(f"teacher {name}: ends at {reached[-1]}, before {tap}")

    def teacher(images, padding):
        encoder = pretrained.make_encoder(loaded, padding=padding)
        return encoder.apply(encoder.params, images, taps)

    return teacher


def make_student(widths: Sequence[int], taps: Sequence[str]) -> Callable:
    """A slim VGG-19 with max pooling: `student(params, images, padding) -> {tap: [..., h, w, c]}`."""

    def student(params, images, padding):
        return vgg.VGG19(vgg.TORCHVISION, widths, "max", padding).apply({"params": params}, images, taps)

    return student


def make_loss(
    student: Callable,
    teacher: Callable,
    scales: Mapping,
    frozen: Mapping,
    *,
    gram_weight: float = 1.0,
    pursuit: int = 0,
) -> Callable:
    r"""The loss of a student: relative errors of its features, linearly mapped, and of their Gram matrices.

    .. math:: \sum_{tap} \frac{\sum (m - t)^2}{\sum t^2}
              + \lambda \frac{\sum \|G_m - G_t\|_F^2}{\sum \|G_t\|_F^2}

    m are the student's features, mapped, t the teacher's, scaled; G is the Gram matrix of a picture,
    divided by its number of positions. The inner sums run over a batch.

    Args:
      student: from `make_student`.
      teacher: from `make_teacher`, at the same taps.
      scales: {tap: [channels]}, factors of the teacher's features.
      frozen: {conv: {"kernel", "bias"}} of the student that stay as they are.
      gram_weight: :math:`\lambda`.
      pursuit: steps by which every second picture first pursues the Gram matrices of another (`pursue`).

    Returns:
      `loss(params, images [batch, H, W, 3]) -> (scalar, {"tap/feature": scalar, "tap/gram": scalar})`
      for params {"vgg": {conv: {"kernel", "bias"}}, "maps": {tap: {"kernel", "bias"}}}.
    """

    def mapped(params, images, padding):
        features = student({**frozen, **params["vgg"]}, images, padding)
        return {tap: apply_map(params["maps"][tap], x) for tap, x in features.items()}

    def loss(params, images):
        total, report = 0.0, {}
        for padding, part in zip(_PADDINGS, jnp.split(images, len(_PADDINGS)), strict=True):
            if pursuit:
                fixed = functools.partial(mapped, jax.lax.stop_gradient(params), padding=padding)
                part = pursue(fixed, part, pursuit)
            wanted = jax.lax.stop_gradient(teacher(part, padding))
            for tap, x in mapped(params, part, padding).items():
                target = scales[tap] * wanted[tap]
                feature, gram = _relative_error(x, target), _relative_error(_gram(x), _gram(target))
                total += (feature + gram_weight * gram) / len(_PADDINGS)
                for name, value in ((f"{tap}/feature", feature), (f"{tap}/gram", gram)):
                    report[name] = report.get(name, 0.0) + value / len(_PADDINGS)
        return total, report

    return loss


def pursue(features: Callable, images: jax.Array, steps: int) -> jax.Array:
    """Moves half of some pictures towards the Gram matrices of the others, as an optimisation does.

    A student that has seen photographs alone errs where an optimisation through it leads; these are
    pictures from such ways. Adam takes its steps at a rate of `PURSUIT_RATE` on the sum of the taps'
    relative Gram errors; of n pictures, the first goes steps/n of the way, the last all of it.

    Args:
      features: `features(images [n, H, W, 3]) -> {tap: [n, h, w, c]}`.
      images: [2 n, H, W, 3] float32 in [0, 1]; the first half moves.
      steps: of the picture that goes furthest.

    Returns:
      [2 n, H, W, 3] in [0, 1].
    """
    moving, others = jnp.split(images, 2)
    targets = {tap: _gram(x) for tap, x in features(others).items()}
    norms = {tap: jnp.sum(jnp.square(g), (1, 2)) + _EPSILON for tap, g in targets.items()}
    last = jnp.ceil(steps * jnp.arange(1, len(moving) + 1) / len(moving))
    optimizer = optax.adam(PURSUIT_RATE)

    def distance(x):
        errors = [
            jnp.sum(jnp.square(_gram(f) - targets[tap]), (1, 2)) / norms[tap]
            for tap, f in features(x).items()
        ]
        return jnp.sum(sum(errors))

    def step(carry, number):
        x, state = carry
        updates, state = optimizer.update(jax.grad(distance)(x), state)
        moves = (number < last)[:, None, None, None]
        return (jnp.where(moves, jnp.clip(x + updates, 0, 1), x), state), None

    (moved, _), _ = jax.lax.scan(step, (moving, optimizer.init(moving)), jnp.arange(steps))
    return jnp.concatenate([moved, others])


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

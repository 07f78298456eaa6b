"""Optimisers of networks: gradient transformations of clipped gradients."""

from collections.abc import Callable

import jax
import optax
import optax.contrib

_LARGEST_NORM = 1.0  # of a gradient


def adam(learning_rate: float | Callable) -> optax.GradientTransformation:
    """Adam; the learning rate is a number or a schedule of optax."""
    return optax.chain(optax.clip_by_global_norm(_LARGEST_NORM), optax.adam(learning_rate))


def muon(learning_rate: float | Callable) -> optax.GradientTransformation:
    """Muon for convolutions, Adam at a tenth of its rate for all else.

    A kernel [h, w, i, o] is a matrix [h w i, o], and a step moves it by about the rate in spectral norm.
    Under Adam the outputs of a wide layer move further than those of a narrow one at the same rate, and
    deep stacks of them die.

    Args:
      learning_rate: a number or a schedule of optax.

    References:
      Jordan et al. 2024, https://kellerjordan.github.io/posts/muon
    """

    def tenth(step):
        return (learning_rate(step) if callable(learning_rate) else learning_rate) / 10

    matrix = optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=(3,))
    optimizer = optax.contrib.muon(
        learning_rate,
        adam_learning_rate=tenth,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(
            lambda array: matrix if array.ndim == 4 else None, params
        ),
    )
    return optax.chain(optax.clip_by_global_norm(_LARGEST_NORM), optimizer)


def warmup_cosine(learning_rate: float, steps: int) -> Callable:
    """A schedule: a warm-up over the first 2 % of the steps, and a cosine decay to 0."""
    return optax.warmup_cosine_decay_schedule(0.0, learning_rate, steps // 50, steps)

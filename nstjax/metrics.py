"""Measures of finished pictures."""

import jax.numpy as jnp


def channel_gaps(x, reference):
    """How far the mean and the standard deviation of each channel are from those of a reference.

    Args:
      x: features [h, w, c].
      reference: features [h', w', c].

    Returns:
      {"mean": [c], "deviation": [c]}: differences, in units of the root mean square over channels of the
      reference's standard deviations.
    """
    unit = jnp.sqrt(jnp.mean(jnp.var(reference, (0, 1))))
    return {
        name: (statistic(x, (0, 1)) - statistic(reference, (0, 1))) / unit
        for name, statistic in (("mean", jnp.mean), ("deviation", jnp.std))
    }

"""Gradient norms of terms at a picture, and weights divided by them."""

import dataclasses

import jax
import jax.numpy as jnp

from nstjax.ops.gradients import FREE
from nstjax.optimize.objective import Objective


def tap_gradient_norms(objective, image, problem):
    """{"term/tap": L2 norm of the gradient of the raw score, uncontrolled, with respect to the image}."""
    names = [f"{term.name}/{tap}" for term in objective.terms for tap in term.taps]
    return _norms(objective, image, problem, {name: {name: 1.0} for name in names})


def term_gradient_norms(objective, image, problem):
    """{term: L2 norm of the gradient of its weighted sum over taps, uncontrolled}."""
    sums = {
        term.name: {f"{term.name}/{tap}": problem.weights[term.name][tap] for tap in term.taps}
        for term in objective.terms
    }
    return _norms(objective, image, problem, sums)


CALIBRATIONS = {
    "taps": jax.jit(tap_gradient_norms, static_argnums=0),
    "terms": jax.jit(term_gradient_norms, static_argnums=0),
}


def calibrate(objective, image, problem, profile, per):
    """The problem with every weight divided by a gradient norm at an image.

    Args:
      objective: an `Objective`.
      image: [H, W, 3] sRGB in [0, 1].
      problem: a `Problem`.
      profile: {term: {tap: scalar}}, the weights of the taps within a term.
      per: what a norm is of: "taps", the score at each tap; "terms", the sum of each term over its taps.

    Raises:
      ValueError: for a norm that is 0 or not finite.
    """
    norms = CALIBRATIONS[per](objective, image, problem._replace(weights=profile))
    for name, norm in norms.items():
        if not 0 < norm < jnp.inf:
            raise ValueError(
                f"the gradient of {name} at the noisy picture has norm {norm}; expected one above 0, to "
                "divide by"
            )
    scaled = {
        name: {tap: w / norms.get(f"{name}/{tap}", norms.get(name)) for tap, w in taps.items()}
        for name, taps in problem.weights.items()
    }
    return problem._replace(weights=scaled)


def _norms(objective, image, problem, sums):
    """Gradient norms of weighted sums of scores, {name: {"term/tap": weight}}."""
    free = Objective(objective.apply, tuple(dataclasses.replace(t, control=FREE) for t in objective.terms))
    unweighted = problem._replace(weights={t.name: dict.fromkeys(t.taps, 0.0) for t in objective.terms})
    report, pullback = jax.vjp(lambda image: free(image, unweighted)[1], image)
    rows = [jnp.stack([jnp.asarray(s.get(k, 0.0), image.dtype) for k in report]) for s in sums.values()]

    def norm(row):
        (gradient,) = pullback(dict(zip(report, row, strict=True)))
        return jnp.sqrt(jnp.sum(jnp.square(gradient)))

    return dict(zip(sums, jax.lax.map(norm, jnp.stack(rows)), strict=True))

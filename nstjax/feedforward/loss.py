"""The loss of a feed-forward network: the shared objective at its output, a mean over a batch."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nstjax.networks import Encoder
from nstjax.networks.transformer import Condition, Transformer, extended
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets


class Batch(NamedTuple):
    """What a step learns from.

    Attributes:
      images: [B, H, W, 3] sRGB in [0, 1].
      styles: [B] int32, the style that each picture is to take.
      strengths: [B, K], log2 of the factors of the weights of the terms in `Perceptual.conditioned`.
      seeds: [B] uint32, of random losses.
    """

    images: Any
    styles: Any
    strengths: Any
    seeds: Any


class Constants(NamedTuple):
    """The arrays of the loss that training does not change.

    Attributes:
      encoder: params of the encoder.
      styles: [H, W, 3] sRGB in [0, 1] each, the style pictures.
      targets: {term: {tap: {label: Region}}} of the terms on the style alone, stacked over styles.
      weights: {term: {tap: [styles]}}.
      fixed: params of a network that styles are added to, which alone are trained; else None.
    """

    encoder: Any
    styles: Sequence[jax.Array]
    targets: Any
    weights: Any
    fixed: Any = None


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """The static part of the loss. Equal ones hash alike, so a program compiled for one serves the other.

    Attributes:
      network: the `Transformer` to train.
      objective: the `Objective` at its output.
      conditioned: names of terms whose weights are the network's inputs.
      first: the place in the network of the first style that is trained.
    """

    network: Transformer
    objective: Objective
    conditioned: tuple[str, ...] = ()
    first: int = 0

    def __call__(self, constants: Constants, params: Any, batch: Batch) -> tuple[jax.Array, dict]:
        """The mean objective over a batch, and the means of its parts.

        Where weights are inputs, its gradient is that of the mean logarithm of the objective: a step lowers
        those of weak and of strong styles by like shares, and none outweighs the others of a batch.

        Returns:
          `(total, {"term/tap": scalar})`, the parts raw and unweighted.
        """
        places = self.first + batch.styles
        chosen = jax.nn.one_hot(places, self.network.styles, dtype=batch.images.dtype)
        params = params if constants.fixed is None else extended(constants.fixed, params)
        condition = Condition(chosen, batch.strengths)
        outputs = self.network.apply({"params": params}, batch.images, condition, training=True)
        prepare = getattr(self.objective.apply, "prepare", lambda params: params)
        prepared = constants._replace(encoder=prepare(constants.encoder))
        values, reports, gradients = lax.map(
            lambda each: self._scored(prepared, *each),
            (outputs, batch),
            # A CPU is busy with one picture at a time; elsewhere all run together.
            batch_size=None if jax.default_backend() == "cpu" else len(batch.images),
        )
        if self.conditioned:
            gradients /= values[:, None, None, None]
        return _linked(outputs, values, gradients), jax.tree.map(jnp.mean, reports)

    def _scored(self, constants, output, single):
        """The objective of one output, its report, and its gradient at the output."""
        problem = self.problem(constants, single)
        scored = jax.value_and_grad(self.objective, has_aux=True)
        (value, report), gradient = scored(lax.stop_gradient(output), problem)
        return value, report, gradient

    def problem(self, constants: Constants, single: Batch) -> Problem:
        """The `Problem` that an output of one picture is scored by; `single` has no batch axis."""
        style = jax.tree.map(lambda array: array[single.styles], (constants.targets, constants.weights))
        targets, weights = style
        terms = tuple(term for term in self.objective.terms if term.name not in constants.targets)
        if terms:
            references = {"content": [Reference(single.images)]}
            if any("style" in term.references for term in terms):
                pictures = [lambda i=i: constants.styles[i] for i in range(len(constants.styles))]
                references["style"] = [Reference(lax.switch(single.styles, pictures))]
            own = make_targets(self.objective.apply, constants.encoder, terms, references)
            targets = targets | own
        strengths = dict(zip(self.conditioned, single.strengths, strict=True))
        weights = {
            name: {tap: weight * jnp.exp2(strengths.get(name, 0.0)) for tap, weight in taps.items()}
            for name, taps in weights.items()
        }
        return Problem(constants.encoder, targets, weights, jax.random.key(single.seeds))


@jax.custom_vjp
def _linked(outputs, values, gradients):
    """The mean of values whose gradients at the outputs are given."""
    return jnp.mean(values)


def _linked_forward(outputs, values, gradients):
    return jnp.mean(values), gradients


def _linked_backward(gradients, g):
    return g / len(gradients) * gradients, None, None


_linked.defvjp(_linked_forward, _linked_backward)


def make_constants(
    encoder: Encoder, terms: Sequence[Term], styles: Sequence[jax.Array], weights: Sequence[dict]
) -> Constants:
    """The `Constants` of a loss.

    Args:
      encoder: an `Encoder`.
      terms: of the objective.
      styles: [H, W, 3] sRGB in [0, 1] each, of one shape.
      weights: {term: {tap: scalar}} of each style.
    """
    of_style = tuple(term for term in terms if term.references == ("style",))
    targets = [
        _targets(encoder.apply, encoder.params, of_style, {"style": [Reference(image)]}) for image in styles
    ]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *targets)
    table = jax.tree.map(lambda *each: jnp.stack(each), *weights)
    return Constants(encoder.params, tuple(styles), stacked, table)


_targets = jax.jit(make_targets, static_argnames=("apply", "terms"))

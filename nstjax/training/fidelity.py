"""Measures of a slim encoder as a replacement of VGG-19, and of decoders."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import losses
from nstjax.networks import Encoder
from nstjax.optimize import Objective, Problem, Reference, Term, make_targets, minimize, term_weights
from nstjax.training.distillation import apply_map


def correlations(student: Callable, teacher: Callable, maps: Mapping, pictures: Sequence) -> dict[str, float]:
    """Pearson correlation of mapped student features with a teacher's.

    Args:
      student: `student(images) -> {tap: [..., c]}`.
      teacher: `teacher(images) -> {tap: [..., k]}` at the same taps.
      maps: from `nstjax.training.distillation.fit_maps`, on other pictures.
      pictures: a sequence of [H, W, 3].

    Returns:
      {tap: float}: the mean over channels of the correlation over all positions of all pictures, without
      the channels that never vary.
    """
    sums, positions = {}, {}
    for images in pictures:
        wanted = teacher(images)
        for tap, x in student(images).items():
            a = np.asarray(apply_map(maps[tap], x), np.float64).reshape(-1, wanted[tap].shape[-1])
            b = np.asarray(wanted[tap], np.float64).reshape(a.shape)
            parts = np.stack([s.sum(0) for s in (a, b, a * a, b * b, a * b)])
            sums[tap], positions[tap] = sums.get(tap, 0) + parts, positions.get(tap, 0) + len(a)
    result = {}
    for tap, parts in sums.items():
        a, b, aa, bb, ab = parts / positions[tap]
        variance = (aa - a * a) * (bb - b * b)
        varies = variance > 1e-12
        result[tap] = float(np.mean((ab - a * b)[varies] / np.sqrt(variance[varies])))
    return result


def remaining_gram(
    encoder: Encoder,
    judge: Encoder,
    content: jax.Array,
    style: jax.Array,
    *,
    taps: Sequence[str],
    steps: int,
    learning_rate: float,
) -> dict[str, float]:
    """The Gram losses of one network that remain when a picture is optimised for those of another.

    The sum of the Gram losses at `taps`, each divided by its value at the start, is minimised by Adam
    from the content, through `encoder`; `judge` then reads its own.

    Args:
      encoder: an `Encoder` to optimise through.
      judge: an `Encoder` to judge the result with.
      content: [H, W, 3] float32 sRGB in [0, 1].
      style: [H', W', 3], the same.
      taps: names of taps.
      steps: of Adam.
      learning_rate: of Adam.

    Returns:
      {tap: the judge's loss after, as a fraction of that at the start}.
    """
    terms = (Term("style", losses.gram(), tuple(taps), "style"),)
    start = _scores(encoder, terms, content, style)
    weights = {"style": [1 / start[tap] for tap in taps]}
    options = {"init": content, "steps": steps, "learning_rate": learning_rate}
    image = minimize(encoder, terms, {"style": style}, weights, **options).image
    before, after = (_scores(judge, terms, x, style) for x in (content, image))
    return {tap: after[tap] / before[tap] for tap in taps}


def _scores(encoder, terms, image, style):
    """{tap: Gram loss} of an image [H, W, 3] through an encoder."""
    targets = make_targets(encoder.apply, encoder.params, terms, {"style": [Reference(jnp.asarray(style))]})
    problem = Problem(encoder.params, targets, term_weights(terms, {"style": 1.0}), jax.random.key(0))
    _, report = Objective(encoder.apply, terms)(jnp.asarray(image), problem)
    return {name.removeprefix("style/"): float(value) for name, value in report.items()}


def psnr(encoder: Encoder, decode: Callable, tap: str, pictures: Sequence) -> float:
    """Peak signal-to-noise ratio in dB of pictures encoded to a tap and decoded; a mean over pictures.

    Args:
      encoder: an `Encoder`.
      decode: `decode(features [h, w, c]) -> [H, W, 3]`.
      tap: name of the tap.
      pictures: a sequence of [H, W, 3] float32 in [0, 1]; sides are multiples of the tap's stride.
    """

    @jax.jit
    def error(image):
        decoded = decode(encoder.apply(encoder.params, image, (tap,))[tap])
        return jnp.mean(jnp.square(jnp.clip(decoded, 0, 1) - image))

    return float(np.mean([-10 * np.log10(error(jnp.asarray(picture))) for picture in pictures]))


def markdown(result: Mapping) -> str:
    """The measures as tables of a README.

    Args:
      result: {"photographs": int, "correlation": {weights: {tap: float}}, "gram": [for each choice
        of taps {weights: [a dict of `remaining_gram` for each pair of pictures]} with the judge first],
        "psnr": {tap: dB}}; all but the first may be missing.
    """
    parts = []
    if "correlation" in result:
        parts += [f"Correlation with the teacher on {result['photographs']} photographs:"]
        parts += [_correlation_table(result["correlation"])]
    if "gram" in result:
        parts += [
            "Gram losses of VGG-19 left, and the share of its own log-reduction (range over the pairs):"
        ]
        parts += map(_gram_table, result["gram"])
    if "psnr" in result:
        values = [f"{value:.1f}" for value in result["psnr"].values()]
        parts += ["A picture encoded and decoded:", _table(["", *result["psnr"]], [["PSNR in dB", *values]])]
    return "\n\n".join(parts) + "\n"


def _correlation_table(result):
    taps = list(next(iter(result.values())))
    return _table(
        ["", *taps], [[f"`{label}`", *(f"{row[tap]:.3f}" for tap in taps)] for label, row in result.items()]
    )


def _gram_table(result):
    taps, rows, own = list(next(iter(result.values()))[0]), [], None
    for label, pairs in result.items():
        remaining = np.array([[pair[tap] for tap in taps] for pair in pairs])
        means = np.log(remaining.mean(1))
        own = means if own is None else own
        shares = means / own
        cells = np.exp([*np.log(remaining).mean(0), means.mean()])
        share = f"{means.sum() / own.sum():.0%} ({shares.min():.0%} to {shares.max():.0%})"
        rows.append([f"`{label}`", *(f"{cell:.2%}" for cell in cells), share])
    return _table(["optimised through", *taps, "mean", "share"], rows)


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

"""Dtypes of what losses, transforms and metrics are given: one table of them all, mostly by shapes alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rows
import transform_rows

from nstjax import losses, metrics, transforms

SHAPE = (6, 8, 3)
KEY = jax.random.key(0)
HALVES = (jnp.float16, jnp.bfloat16)


def of_loss(loss):
    return lambda x, s, where: loss.score(x, loss.target(s, where=where), where=where, key=KEY)


def of_transform(t):
    def apply(x, s, where):
        return t.apply(x, t.style(s, where=where), alpha=jnp.float32(0.5), where=where, key=KEY)

    return apply


def of_metric(metric, arrays):
    return lambda x, s, where: metric(*(x, s)[:arrays])


METRICS = {"ssim": 2, "edge_ssim": 2, "high_frequency": 1, "checkerboard": 1, "saturation": 1}
METRICS |= {"clipped": 1, "colour_gaps": 2, "channel_gaps": 2, "gram_gap": 2, "matting_energy": 2}
# Every one as f(x, s, where) of features and a mask or None.
ALL = {
    **{f"losses.{row.name}": of_loss(row.loss) for row in rows.TABLE},
    **{f"transforms.{row.name}": of_transform(row.transform) for row in transform_rows.TABLE},
    **{f"metrics.{name}": of_metric(getattr(metrics, name), count) for name, count in METRICS.items()},
}
EVERY = pytest.mark.parametrize("f", ALL.values(), ids=ALL)


def traced(f, x=jnp.float32, s=jnp.float32, where=None):
    """Shapes of the value of f and of its gradient, for features and a mask of these dtypes."""
    x, s = (jax.ShapeDtypeStruct(SHAPE, dtype) for dtype in (x, s))
    where = None if where is None else jax.ShapeDtypeStruct(SHAPE[:2], where)

    def both(x, s, where):
        value, pull = jax.vjp(lambda x: f(x, s, where), x)
        return value, pull(value)

    return jax.eval_shape(both, x, s, where)


def test_every_metric_is_in_the_table():
    public = {name for name, f in vars(metrics).items() if hasattr(f, "__wrapped__")}
    assert set(METRICS) == public


@EVERY
def test_nothing_is_promoted_in_silence(f):
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        for where in (None, bool):
            traced(f, where=where)


@pytest.mark.parametrize(
    "blend, made",
    [
        *((row.loss.blend, row.loss.target) for row in rows.TABLE),
        *((row.transform.blend, row.transform.style) for row in transform_rows.TABLE),
    ],
    ids=[name for name in ALL if not name.startswith("metrics")],
)
def test_styles_are_blended_without_promotion(blend, made):
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
        for weights in ([0.25, 0.75], jnp.array([0.25, 0.75])):
            mixed = jax.eval_shape(lambda x, w=weights: blend([made(x), made(x)], w), x)
            assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(mixed))


@EVERY
def test_integers_are_refused(f):
    hint = r"must be floating-point; got uint8 \(x / 255.0 makes pixels of 8 bits so\)"
    with pytest.raises(ValueError, match=hint):
        traced(f, x=jnp.uint8)


def test_integers_are_refused_as_references_as_masks_and_as_targets():
    loss, x = losses.feature(), np.zeros(SHAPE, np.float32)
    with pytest.raises(ValueError, match="features must be floating-point; got uint8"):
        loss.target(x.astype(np.uint8))
    with pytest.raises(ValueError, match="where must be floating-point; got uint8"):
        loss.target(x, where=np.full(SHAPE[:2], 255, np.uint8))
    with pytest.raises(ValueError, match="target must be floating-point; got uint8"):
        loss.score(x, x.astype(np.uint8))
    with pytest.raises(ValueError, match="pictures must be floating-point; got uint8"):
        metrics.ssim(x, reference=x.astype(np.uint8))
    with pytest.raises(ValueError, match="features must be floating-point; got bool"):
        loss.score(x > 0, x)
    with pytest.raises(ValueError, match="features must be floating-point; got int32"):
        transforms.wct().tiled.accumulate(x.astype(np.int32))


@EVERY
def test_half_precision_comes_back(f):
    for dtype, s in zip(HALVES, (jnp.float32, jnp.bfloat16), strict=True):
        value, (gradient,) = traced(f, x=dtype, s=s, where=dtype)
        assert gradient.dtype == dtype
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(value))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "name",
    ["losses.cmd", "losses.histogram", "losses.wasserstein_gaussian", "transforms.wct", "metrics.edge_ssim"],
)
def test_half_precision_is_computed_in_float32(name, dtype):
    f = jax.jit(ALL[name])
    x, s = (jnp.asarray(0.2 * rows.features(SHAPE, seed), dtype) for seed in range(2))
    wide = f(x.astype(jnp.float32), s.astype(jnp.float32), None)
    np.testing.assert_array_equal(f(x, s, None), wide.astype(dtype))


def test_the_target_of_half_precision_is_float32():
    for row in rows.TABLE:
        target = jax.eval_shape(row.loss.target, jax.ShapeDtypeStruct(SHAPE, jnp.bfloat16))
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(target)), row.name

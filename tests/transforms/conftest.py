"""Transforms broadcast explicitly and produce no NaN."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        yield

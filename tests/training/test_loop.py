"""The training loop: resuming to the same bytes, what it logs, how it fails."""

import json

import grain
import jax.numpy as jnp
import numpy as np
import pytest

from nstjax.errors import NotFiniteError
from nstjax.folders import RunFolder
from nstjax.training import loop, optimizers

PROVENANCE = {"inputs": {}}


def loss(params, batch):
    error = jnp.mean(jnp.square(batch @ params["w"] - jnp.sum(batch, -1, keepdims=True)))
    return error, {"error": error}


def batches(seed=0):
    numbers = grain.MapDataset.range(1).seed(seed).repeat()
    return numbers.random_map(lambda _, rng: rng.normal(size=(8, 3)).astype(np.float32))


def fit(path, data=None, steps=20, learning_rate=0.1, average=0.0):
    with RunFolder(path, {}, PROVENANCE) as folder:
        trained = loop.train(
            folder,
            loss,
            {"w": jnp.zeros((3, 1))},
            optimizers.adam(optimizers.warmup_cosine(learning_rate, steps)),
            batches() if data is None else data,
            steps=steps,
            log_every=3,
            checkpoint_every=5,
            average=average,
        )
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return trained.result["w"], rows


def without_clock(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_it_learns_and_logs_means(tmp_path):
    w, rows = fit(tmp_path / "run", steps=200)
    assert np.allclose(w, 1, atol=0.05)
    assert rows[0]["step"] == 3 and rows[-1]["step"] == 200
    assert rows[0]["loss"] == rows[0]["error"] and rows[-1]["loss"] < 1e-2 * rows[0]["loss"]
    once = [float(loss({"w": jnp.zeros((3, 1))}, batches()[0])[0])]
    _, first = fit(tmp_path / "one", steps=1)
    assert first[0]["loss"] == pytest.approx(once[0])


def test_an_average_forgets_its_start(tmp_path):
    one, _ = fit(tmp_path / "one", steps=1)
    averaged, _ = fit(tmp_path / "averaged", steps=1, average=0.999)
    np.testing.assert_allclose(averaged, 0.9 * one, rtol=1e-6)  # from 0
    w, _ = fit(tmp_path / "long", steps=200, average=0.999)
    assert np.allclose(w, 1, atol=0.1)
    bounded, _ = fit(tmp_path / "bounded", steps=1, average=0.05)
    np.testing.assert_allclose(bounded, 0.95 * one, rtol=1e-6)


def test_a_stopped_training_ends_with_the_same_bytes(tmp_path):
    whole, rows = fit(tmp_path / "whole")

    class Stop(Exception):
        pass

    for at in (1, 7, 12, 19):

        def fails(i, row, at=at):
            if i == at:
                raise Stop
            return row

        broken = batches().map_with_index(fails)
        with pytest.raises(Stop):
            fit(tmp_path / f"stopped{at}", broken)
        w, resumed = fit(tmp_path / f"stopped{at}")
        assert np.array_equal(w, whole) and without_clock(resumed) == without_clock(rows)
    again, rows_again = fit(tmp_path / "whole")
    assert np.array_equal(again, whole) and rows_again == rows


def test_a_loss_that_is_not_finite_is_one_line_and_keeps_the_last_checkpoint(tmp_path):
    broken = batches().map_with_index(lambda i, row: row * (np.nan if i == 8 else 1))
    with pytest.raises(NotFiniteError, match="not finite between steps 7 and 9;"):
        fit(tmp_path / "run", broken)
    whole, _ = fit(tmp_path / "whole")
    resumed, _ = fit(tmp_path / "run")
    assert np.array_equal(resumed, whole)


def test_a_training_compiles_its_step_once(tmp_path, compilations):
    fit(tmp_path / "first")
    with compilations() as compiled:
        fit(tmp_path / "second", batches(seed=1))
    assert len(compiled) <= 1  # the optimiser is a new object, the step is one program

"""Pictures optimised together in a run folder: progress, metrics, checkpoints, resuming."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import files, images
from nstjax.optimize import (
    UNLIMITED,
    diagnose,
    initial_state,
    make_batch,
    next_scale,
    result,
)
from nstjax.optimize import run_batch as run_steps
from nstjax.progress import progress_bar
from nstjax.runs import filters
from nstjax.runs.base import Outcome
from nstjax.runs.cache import Cache
from nstjax.runs.stage import initial_image, make_stage

_HALF_A_LEVEL = 0.5 / 255
_NOTICED = 0.5  # seconds of a checkpoint
_UNMOVED = "the picture did not change: the total is {:.3g}, which may be out of the range of {}"


@dataclasses.dataclass
class Progress:
    """How far a batch is, beside its states.

    Attributes:
      evaluations: of each run in the stages before this one.
      stage: index of the stage.
      before: steps of the stages before.
      step: steps of this stage.
      seconds: of steps, of the batch.
      bytes: of memory that compiled programs took at their peak, of the batch.
      failures: {index of a run: the reason why it failed}.
      moved: whether the picture of each run has changed by half a grey level anywhere.
    """

    evaluations: list[int]
    moved: list[bool]
    stage: int = 0
    before: int = 0
    step: int = 0
    seconds: float = 0.0
    bytes: int = 0
    failures: dict[int, str] = dataclasses.field(default_factory=dict)

    def to_json(self):
        """A dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, saved):
        """The `Progress` of a dict that `to_json` returned, whose keys JSON made texts."""
        known = {field.name: saved[field.name] for field in dataclasses.fields(cls)}
        return cls(**known | {"failures": {int(run): reason for run, reason in saved["failures"].items()}})

    def cost(self, count):
        """{"seconds", "bytes"}, a run's share."""
        return {"seconds": round(self.seconds / count, 3), "bytes": self.bytes // count}


def run_batch(runs, folder, *, warm_up=False):
    """Optimises the pictures of runs that share one compiled program, from the last checkpoint of a folder.

    Args:
      runs: `ImageRun`s of one structure; of several, each line of the metrics says of which it is.
      folder: a `RunFolder` that is not finished.
      warm_up: without effect, as programs are compiled before the clock starts.

    Returns:
      An `Outcome` per run.

    Raises:
      UserError: where the folder cannot be written.
    """
    number, saved = folder.resume()
    progress = Progress([0] * len(runs), [False] * len(runs)) if saved is None else Progress.from_json(saved)
    folder.open_metrics(0 if saved is None else saved["metrics_bytes"])
    specs, cache, states, stages = runs[0].stages, Cache(), None, None
    total = sum(spec.config.steps for spec in specs)
    made = progress.before + progress.step
    with progress_bar(total=total, initial=made, leave=None, unit="step") as bar:
        for index in range(progress.stage, len(specs)):
            before, stages = stages, [make_stage(run, index, cache) for run in runs]
            if before is None:
                states = _first_states(runs, index)
                states = states if number is None else folder.restore(number, states)
            else:
                _begin_stage(progress, before, states)
                states = _next_scale(before[0].spec, stages[0], states)
            states = _BatchStage(runs, stages, folder, progress, bar).run(states)
            for i in np.flatnonzero(states.failed).tolist():
                progress.failures.setdefault(i, _reason(stages[i], _one(states, i), progress.before))
            if len(progress.failures) == len(runs):
                break
    return [
        _outcome(runs[i], stage, _one(states, i), i, progress, folder, len(runs))
        for i, stage in enumerate(stages)
    ]


def _first_states(runs, index):
    """The states that a batch begins with; at a later stage only their shapes and dtypes count."""
    specs = [run.stages[index] for run in runs]
    starts = [initial_image(run, spec) for run, spec in zip(runs, specs, strict=True)]
    states = [initial_state(spec.plan, start) for spec, start in zip(specs, starts, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _begin_stage(progress, before, states):
    """Counts the stage that has ended into a `Progress`."""
    progress.evaluations = [a + int(b) for a, b in zip(progress.evaluations, states.evaluations, strict=True)]
    progress.before += before[0].spec.config.steps
    progress.stage, progress.step = progress.stage + 1, 0


def _next_scale(before, stage, states):
    return jax.vmap(lambda state: next_scale(before.plan, stage.spec.plan, state, stage.shape))(states)


class _BatchStage:
    """One stage of a batch: its compiled steps, and what is written between them."""

    def __init__(self, runs, stages, folder, progress, bar):
        self.label = runs[0].label if len(runs) == 1 else None
        self.stages, self.folder, self.progress, self.bar = stages, folder, progress, bar
        self.spec = stages[0].spec
        config, count = self.spec.config, len(stages)
        allowed = config.max_evaluations or UNLIMITED
        budgets = [allowed - spent for spent in progress.evaluations]
        rates = [stage.spec.learning_rate for stage in stages]
        self.batch = make_batch([stage.problem for stage in stages], rates, budgets)
        self.seconds = config.max_seconds * count or np.inf
        self.not_before = 0.0

    def run(self, states):
        """The states after the stage; calls end at multiples of checkpoint_every, so that a resumed run
        makes the same calls.
        """
        config, progress = self.spec.config, self.progress
        progress.step, first = int(np.max(states.step)), np.asarray(states.image)
        states = self._compile(states)
        while progress.step < config.steps and not self._at_an_end(states):
            start = progress.step
            checkpoint = (start // config.checkpoint_every + 1) * config.checkpoint_every
            stop = min(config.steps, start + config.steps_per_call, checkpoint)
            begun = time.perf_counter()
            states, rows = jax.block_until_ready(self._steps(states, start, stop))
            progress.seconds += time.perf_counter() - begun
            progress.step = stop
            furthest = np.abs(np.asarray(states.image) - first).max((1, 2, 3))
            progress.moved = (np.asarray(progress.moved) | (furthest > _HALF_A_LEVEL)).tolist()
            self._log(rows, np.asarray(states.step) - start, start)
            self._show(states, start)
            last = stop == config.steps
            due = stop % config.checkpoint_every == 0 and time.perf_counter() >= self.not_before
            if (due or last) and not np.all(states.failed):
                self._save(states)
        return states

    def _save(self, states):
        """Saves a checkpoint, and no other before ten times as long as it took, where that is noticed."""
        begun = time.perf_counter()
        self.folder.save(self.progress.before + self.progress.step, states, self.progress.to_json())
        took = time.perf_counter() - begun
        self.not_before = begun + (11 * took if took > _NOTICED else 0)

    def _steps(self, states, start, stop, call=run_steps):
        length = self.spec.config.steps_per_call
        objective, plan = self.stages[0].objective, self.spec.plan
        return call(objective, plan, states, self.batch, start=start, stop=stop, length=length)

    def _compile(self, states):
        """Compiles the steps and makes none; counts the memory that the program takes."""
        step = self.progress.step
        taken = self._steps(states, step, step, run_steps.lower).compile().memory_analysis()
        if taken is not None:
            sizes = (taken.argument_size_in_bytes, taken.output_size_in_bytes, taken.temp_size_in_bytes)
            self.progress.bytes = max(self.progress.bytes, sum(sizes) - taken.alias_size_in_bytes)
        return jax.block_until_ready(self._steps(states, step, step))[0]

    def _at_an_end(self, states):
        spent = np.asarray(states.evaluations) >= self.batch.budgets
        return self.progress.seconds >= self.seconds or np.all(np.asarray(states.failed) | spent)

    def _log(self, rows, made, start):
        """Writes the reports of a call's steps, of which each run made so many."""
        progress, count = self.progress, len(self.stages)
        rows = {name: np.asarray(values) for name, values in rows.items()}
        rows["evaluations"] = rows["evaluations"] + np.asarray(progress.evaluations)[:, None]
        head = {"stage": progress.stage, "seconds": progress.cost(count)["seconds"]}
        self.folder.log(
            _row({**_name(i, count), "step": progress.before + start + k, **head}, rows, (i, k))
            for k in range(progress.step - start)
            if (start + k) % self.spec.config.log_every == 0
            for i in range(count)
            if k < made[i]
        )
        self.bar.update(progress.step - start)
        if np.any(made > 0):
            self.bar.set_postfix_str(f"loss {np.mean(rows['total'][made > 0, 0]):.4g}", refresh=False)

    def _show(self, states, start):
        """Writes the preview of a single run where a call has crossed a multiple of preview_every."""
        config, stop = self.spec.config, self.progress.step
        crossed = stop % config.preview_every < stop - start
        if self.label and crossed and stop < config.steps and not np.any(states.failed):
            image = result(self.spec.plan, _one(states, 0))
            preview = images.encode_png(image, self.label)
            files.write_atomic(self.folder.path / "preview.png", preview)


def _outcome(run, stage, state, index, progress, folder, count):
    """The `Outcome` of a run after its last stage, whose last line of metrics is logged here."""
    counts = {
        "step": progress.before + int(state.step),
        "evaluations": progress.evaluations[index] + int(state.evaluations),
    }
    cost = {"steps": counts["step"], "evaluations": counts["evaluations"]}
    cost |= progress.cost(count) | {"together": count}
    taps = stage.problem.weights.items()
    weights = {f"{term}/{tap}": float(w) for term, of_taps in taps for tap, w in of_taps.items()}
    if index in progress.failures:
        return Outcome(np.asarray(state.good), progress.failures[index], weights, cost)
    image = result(stage.spec.plan, state)
    total, report = _evaluate(stage.objective, image, stage.problem)
    if not np.isfinite(total):
        reason = _reason(stage, state._replace(image=image), progress.before)
        return Outcome(np.asarray(state.good), reason, weights, cost)
    head = {
        "step": counts["step"],
        **_name(index, count),
        "stage": progress.stage,
        "seconds": cost["seconds"],
    }
    folder.log([_row(head, {"evaluations": counts["evaluations"], "total": total, **report}, ())])
    notes = (
        () if progress.moved[index] else (_UNMOVED.format(float(total), stage.spec.plan.method.optimizer),)
    )
    painted, files_of_it = filters.filtered(run, np.asarray(image))
    return Outcome(painted, None, weights, cost, notes, files_of_it)


_evaluate = jax.jit(lambda objective, image, problem: objective(image, problem), static_argnums=0)


def _one(states, i):
    return jax.tree.map(lambda x: x[i], states)


def _reason(stage, state, before):
    """Why a state failed, `before` steps before its stage."""
    reason = diagnose(stage.objective, stage.spec.plan, state, stage.problem)
    return f"stopped at step {before + int(state.step)}: {reason}"


def _name(index, count):
    """The beginning of a line of the metrics of one of several runs."""
    return {} if count == 1 else {"run": index}


def _row(head, values, at):
    """A line of the metrics: a head, and those of the values that are finite."""
    numbers = {name: np.asarray(value)[at].item() for name, value in values.items()}
    finite = {name: number for name, number in numbers.items() if np.isfinite(number)}
    first = {name: finite.pop(name) for name in ("evaluations", "total") if name in finite}
    return head | first | finite

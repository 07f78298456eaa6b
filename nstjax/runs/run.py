"""Runs experiments in a run folder: progress, metrics, checkpoints, resuming."""

import importlib.util
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from nstjax import files, images, optimize
from nstjax.errors import NotFiniteError
from nstjax.runs import experiment, report
from nstjax.runs.cache import Cache
from nstjax.runs.folder import RunFolder


def stylize(config, workdir, command=""):
    """Runs a config in a run folder, or goes on with it, or finds it finished.

    Args:
      config: a ConfigDict.
      workdir: path of the run folder.
      command: the command line, for provenance.

    Returns:
      {"picture": path, "report": path}; without matplotlib there is no report, and a note says so.

    Raises:
      UserError: for whatever a person can mend.
      NotFiniteError: where the run failed.
    """
    experiment = experiment.load(config)
    for note in experiment.notes:
        notify(f"note: {note}")
    provenance = experiment.provenance(experiment, command)
    with RunFolder(workdir, experiment.config, provenance) as folder:
        left = {"picture": folder.path / "image.png", "report": folder.path / "report.html"}
        if folder.finished:
            notify(f"already finished: {left['picture']}")
        else:
            (outcome,) = run([experiment], folder)
            if outcome.reason:
                path = folder.path / "last_good.png"
                files.write_atomic(path, images.encode_png(outcome.image, experiment.label))
                raise NotFiniteError(f"{outcome.reason}; the last good image is {path}")
            files.write_json(folder.path / "weights.json", outcome.weights)
            files.write_json(folder.path / "cost.json", outcome.cost)
            files.write_atomic(left["picture"], images.encode_png(outcome.image, experiment.label))
        if not left["report"].exists() and not write_report(experiment, folder.path):
            notify("note: the report needs matplotlib; install nstjax[report] and run the same command again")
            del left["report"]
    return left


def write_report(experiment, folder):
    """Writes the report of a finished run into its folder; False where matplotlib, which it needs, is not."""
    if importlib.util.find_spec("matplotlib") is None:
        return False

    report.write(experiment, folder)
    return True


class Outcome(NamedTuple):
    """What became of an experiment.

    Attributes:
      image: [H, W, 3] float32 in [0, 1]; where it failed, the last one whose objective was finite.
      reason: at which step it failed and why, or None.
      weights: {"term/tap": number} of the last stage, after calibration.
      cost: {"steps", "evaluations", "seconds" without compilation, "bytes" of memory that the compiled
        program takes at its peak, "together": with how many}; seconds and bytes are a lane's share.
    """

    image: np.ndarray
    reason: str | None
    weights: dict[str, float]
    cost: dict[str, float]


def run(lanes, folder):
    """Optimises the images of experiments together, from the last checkpoint of the folder if it has one.

    Args:
      lanes: experiments that differ in nothing but numbers and pictures of one size. Of several, each line
        of the metrics says which it is of.
      folder: a `RunFolder` that is not finished.

    Returns:
      An `Outcome` for each.

    Raises:
      UserError: where the folder cannot be written.
    """
    number = folder.latest()
    saved = {"stage": 0, "step": 0, "steps": 0, "seconds": 0.0, "bytes": 0, "failures": {}}
    saved["metrics_bytes"] = 0
    saved["evaluations"] = [0] * len(lanes)  # of the stages before
    saved |= {} if number is None else folder.progress(number)
    folder.open_metrics(saved["metrics_bytes"])
    configs = lanes[0].stage_configs
    total = sum(config.steps for config in configs)
    failures = {int(lane): reason for lane, reason in saved["failures"].items()}
    before, states, once = None, None, Cache()
    meter = _Meter(saved["seconds"], saved["bytes"], len(lanes))
    with tqdm.tqdm(total=total, initial=saved["steps"], disable=None, leave=None, unit="step") as bar:
        done = saved["steps"] - saved["step"]
        for index in range(saved["stage"], len(configs)):
            begun = done
            stages = [experiment.make_stage(lane, index, once) for lane in lanes]
            if before is None:
                states = _first_states(lanes, stages, index)
                states = states if number is None else folder.restore(number, states)
            else:
                states = _next_scale(before, stages[0], states)
            label = lanes[0].label if len(lanes) == 1 else None
            spent = saved["evaluations"]
            progress = {"stage": index, "steps": done, "failures": failures, "evaluations": spent}
            states = _run_stage(configs[index], stages, states, folder, progress, meter, bar, label)
            for i in np.flatnonzero(states.failed).tolist():
                failures.setdefault(i, _reason(stages[i], _lane(states, i), done))
            if len(failures) == len(lanes):
                break
            if index + 1 < len(configs):
                saved["evaluations"] = [a + int(b) for a, b in zip(spent, states.evaluations, strict=True)]
            done += stages[0].steps
            before = stages[0]
    cost = meter.cost | {"together": len(lanes)}
    return [
        _outcome(
            stage, _lane(states, i), failures.get(i), begun, folder, name | {"stage": index}, spent[i], cost
        )
        for i, (stage, name) in enumerate(zip(stages, _names(lanes), strict=True))
    ]


def _outcome(stage, state, failure, done, folder, head, spent, cost):
    """The `Outcome` of a lane after its last stage, whose last line of metrics is logged here."""
    counts = {"step": done + int(state.step), "evaluations": spent + int(state.evaluations)}
    cost = {"steps": counts["step"], "evaluations": counts["evaluations"], **cost}
    weights = {f"{t}/{tap}": float(w) for t, taps in stage.problem[2].items() for tap, w in taps.items()}
    if failure:
        return Outcome(np.asarray(state.good), failure, weights, cost)
    image = optimize.result(stage.plan, state)
    total, report = _evaluate(stage.objective, image, *stage.problem)
    if not np.isfinite(total):
        reason = _reason(stage, state._replace(image=image), done)
        return Outcome(np.asarray(state.good), reason, weights, cost)
    head = {"step": counts["step"], **head, "seconds": cost["seconds"]}
    folder.log([_row(head, {"evaluations": counts["evaluations"], "total": total, **report})])
    return Outcome(np.asarray(image), None, weights, cost)


_evaluate = jax.jit(lambda objective, *args: objective(*args), static_argnums=0)


def _lane(states, i):
    return jax.tree.map(lambda x: x[i], states)


def _reason(stage, state, done):
    """Why a state failed, `done` steps before its stage."""
    reason = optimize.diagnose(stage.objective, stage.plan, state, stage.problem)
    return f"stopped at step {done + int(state.step)}: {reason}"


def _names(lanes):
    """What the lines of the metrics begin with."""
    return [{}] if len(lanes) == 1 else [{"lane": i} for i in range(len(lanes))]


def _first_states(lanes, stages, index):
    """The states a run begins with; at a later stage only their shapes and dtypes count."""
    images = [experiment.initial_image(lane, lane.stage_configs[index]) for lane in lanes]
    states = [optimize.initial_state(stage.plan, x) for stage, x in zip(stages, images, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _next_scale(before, stage, states):
    return jax.vmap(lambda state: optimize.next_scale(before.plan, stage.plan, state, stage.shape))(states)


def _run_stage(config, stages, states, folder, progress, meter, bar, label):
    index, done, stage = progress["stage"], progress["steps"], stages[0]
    rates = jnp.asarray([stage.learning_rate for stage in stages])
    budgets = [(config.max_evaluations or optimize.UNLIMITED) - spent for spent in progress["evaluations"]]
    budgets = np.asarray(budgets, np.int32)
    shared, own = optimize.stack_problems([stage.problem for stage in stages])

    def chunk(states, start, stop, run=optimize.run_lanes):
        arguments = (stage.objective, stage.plan, states, shared, own, rates, budgets)
        return run(*arguments, start=start, stop=stop, length=config.steps_per_call)

    def at_an_end(states):
        spent = np.asarray(states.evaluations) >= budgets
        late = config.max_seconds and meter.seconds >= config.max_seconds * len(stages)
        return late or np.all(np.asarray(states.failed) | spent)

    step = int(np.max(states.step))
    meter.weigh(chunk(states, step, step, optimize.run_lanes.lower).compile())
    states, _ = jax.block_until_ready(chunk(states, step, step))  # compiles, makes no step
    while step < stage.steps and not at_an_end(states):
        # A call never goes over a multiple of checkpoint_every: a resumed run makes the same calls.
        stop = min(stage.steps, step + config.steps_per_call, _next(step, config.checkpoint_every))
        with meter:
            states, rows = jax.block_until_ready(chunk(states, step, stop))
        made = np.asarray(states.step) - step
        rows = {name: np.asarray(values) for name, values in rows.items()}
        rows["evaluations"] = rows["evaluations"] + np.asarray(progress["evaluations"])[:, None]
        folder.log(
            _row(
                name | {"step": done + step + i, "stage": index, "seconds": meter.cost["seconds"]},
                {k: v[lane, i] for k, v in rows.items()},
            )
            for i in range(stop - step)
            if (step + i) % config.log_every == 0
            for lane, name in enumerate(_names(stages))
            if i < made[lane]
        )
        bar.update(stop - step)
        bar.set_postfix_str(f"loss {np.mean(rows['total'][made > 0, 0]):.4g}", refresh=False)
        crossed = stop % config.preview_every < stop - step
        step = stop
        if label and crossed and step < stage.steps and not np.any(states.failed):
            image = optimize.result(stage.plan, _lane(states, 0))
            files.write_atomic(folder.path / "preview.png", images.encode_png(image, label))
        if (step % config.checkpoint_every == 0 or step == stage.steps) and not np.all(states.failed):
            now = {"step": step, "steps": done + step, "seconds": meter.seconds, "bytes": meter.bytes}
            folder.save(done + step, states, progress | now)
    return states


class _Meter:
    """What a run costs, over calls and over resumed processes: seconds of steps, bytes of programs."""

    def __init__(self, seconds, bytes, lanes):
        self.seconds, self.bytes, self.lanes = seconds, bytes, lanes

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *_):
        self.seconds += time.perf_counter() - self._start

    def weigh(self, program):
        """Counts the memory that a compiled program takes, where it is more than what others took."""
        taken = program.memory_analysis()
        if taken is not None:
            sizes = (taken.argument_size_in_bytes, taken.output_size_in_bytes, taken.temp_size_in_bytes)
            self.bytes = max(self.bytes, sum(sizes) - taken.alias_size_in_bytes)

    @property
    def cost(self):
        """The share of a lane."""
        return {"seconds": round(self.seconds / self.lanes, 3), "bytes": self.bytes // self.lanes}


def _next(step, every):
    return (step // every + 1) * every


def _row(head, values):
    finite = {k: np.asarray(v).item() for k, v in values.items() if np.isfinite(v)}
    first = {k: finite.pop(k) for k in ("evaluations", "total") if k in finite}
    return head | first | finite

"""Runs an experiment in a run folder: progress, metrics, checkpoints, resuming."""

import contextlib
import importlib.util
import sys
import time

import jax
import numpy as np
import tqdm

from nstjax import experiment as experiments
from nstjax import io, optimize
from nstjax.errors import NotFiniteError
from nstjax.runfolder import RunFolder


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
    experiment = experiments.load(config)
    for note in experiment.notes:
        say(f"note: {note}")
    provenance = experiments.provenance(experiment, command)
    with RunFolder(workdir, experiment.config, provenance) as folder:
        left = {"picture": folder.path / "image.png", "report": folder.path / "report.html"}
        if folder.finished:
            say(f"already finished: {left['picture']}")
        else:
            io.write_atomic(left["picture"], io.encode_png(run(experiment, folder), experiment.label))
        if importlib.util.find_spec("matplotlib") is None:
            say("note: the report needs matplotlib; install nstjax[report] and run the same command again")
            del left["report"]
        elif not left["report"].exists():
            from nstjax import report

            report.write(experiment, folder.path)
    return left


def run(experiment, folder):
    """Optimises the image of an experiment, from the last checkpoint of the folder if it has one.

    Args:
      experiment: an `Experiment`.
      folder: a `RunFolder` that is not finished.

    Returns:
      The image [H, W, 3] float32 in [0, 1].

    Raises:
      NotFiniteError: naming the step and the term.
      UserError: where the folder cannot be written.
    """
    number = folder.latest()
    saved = {"stage": 0, "step": 0, "steps": 0, "seconds": 0.0, "metrics_bytes": 0}
    saved = saved if number is None else folder.progress(number)
    folder.open_metrics(saved["metrics_bytes"])
    total_steps = sum(config.steps for config in experiment.stage_configs)
    previous, stage, state = None, None, None
    clock = _Clock(saved["seconds"])
    with tqdm.tqdm(total=total_steps, initial=saved["steps"], disable=None, unit="step") as bar:
        done = saved["steps"] - saved["step"]
        for index in range(saved["stage"], len(experiment.stage_configs)):
            stage = experiments.make_stage(experiment, index)
            if previous is not None:
                state = optimize.next_scale(previous.plan, stage.plan, state, stage.shape)
            else:
                state = _first_state(experiment, index, stage)
                state = state if number is None else folder.restore(number, state)
            state = _run_stage(experiment, folder, stage, state, index, done, clock, bar)
            done += stage.steps
            previous = stage
    image = optimize.result(stage.plan, state)
    weights = {
        f"{term}/{tap}": float(w) for term, taps in stage.problem[2].items() for tap, w in taps.items()
    }
    io.write_json(folder.path / "weights.json", weights)
    total, report = _evaluate(stage.objective, image, *stage.problem)
    if not np.isfinite(total):
        _fail(experiment, folder, stage, state._replace(image=image), done)
    values = {"evaluations": state.evaluations, "total": total, **report}
    folder.log([_row(done, index, clock.seconds, values)])
    return np.asarray(image)


_evaluate = jax.jit(lambda objective, *args: objective(*args), static_argnums=0)


def _first_state(experiment, index, stage):
    """The state a run begins with; at a later stage only its shapes and dtypes count."""
    config = experiment.stage_configs[index]
    return optimize.initial_state(stage.plan, experiments.initial_image(experiment, config))


def _run_stage(experiment, folder, stage, state, index, done, clock, bar):
    config = experiment.stage_configs[index]

    def chunk(state, stop):
        return optimize.run_chunk(
            stage.objective,
            stage.plan,
            state,
            stage.problem,
            stage.learning_rate,
            stop=stop,
            length=config.steps_per_call,
        )

    state, _ = jax.block_until_ready(chunk(state, 0))  # compiles, makes no step
    step = int(state.step)
    while step < stage.steps:
        # A call never goes over a multiple of checkpoint_every: a resumed run makes the same calls.
        stop = min(stage.steps, step + config.steps_per_call, _next(step, config.checkpoint_every))
        with clock:
            state, rows = jax.block_until_ready(chunk(state, stop))
        made = int(state.step) - step
        rows = {name: np.asarray(values)[:made] for name, values in rows.items()}
        folder.log(
            _row(done + step + i, index, clock.seconds, {k: v[i] for k, v in rows.items()})
            for i in range(made)
            if (step + i) % config.log_every == 0
        )
        if bool(state.failed):
            _fail(experiment, folder, stage, state, done + step + made)
        step += made
        bar.update(made)
        bar.set_postfix_str(f"loss {rows['total'][-1]:.4g}", refresh=False)
        if step % config.preview_every < made and step < stage.steps:
            preview = io.encode_png(optimize.result(stage.plan, state), experiment.label)
            io.write_atomic(folder.path / "preview.png", preview)
        if step % config.checkpoint_every == 0 or step == stage.steps:
            progress = {
                "stage": index,
                "step": step,
                "steps": done + step,
                "seconds": clock.seconds,
            }
            folder.save(done + step, state, progress)
    return state


class _Clock:
    """Seconds spent optimising, summed over calls and over resumed processes."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *_):
        self.seconds += time.perf_counter() - self._start


def _next(step, every):
    return (step // every + 1) * every


def _row(step, stage, seconds, values):
    finite = {k: np.asarray(v).item() for k, v in values.items() if np.isfinite(v)}
    head = {k: finite.pop(k) for k in ("evaluations", "total") if k in finite}
    return {"step": step, "stage": stage, "seconds": round(seconds, 3)} | head | finite


def _fail(experiment, folder, stage, state, step):
    reason = optimize.diagnose(stage.objective, stage.plan, state, stage.problem)
    path = folder.path / "last_good.png"
    io.write_atomic(path, io.encode_png(state.good, experiment.label))
    raise NotFiniteError(f"stopped at step {step}: {reason}; the last good image is {path}")


def say(line):
    """One line for a person, on stderr; where nobody can read it, work goes on."""
    with contextlib.suppress(OSError):
        print("".join(c if c.isprintable() else " " for c in line), file=sys.stderr)

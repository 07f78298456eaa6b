"""A config run into a run folder, whatever its method."""

from pathlib import Path

from nstjax import files, images, validate
from nstjax.errors import NotFiniteError, UserError, check_choice, notify
from nstjax.folders import RunFolder
from nstjax.runs import image, training, transfer
from nstjax.runs.base import Run
from nstjax.training.processes import Follower, as_first

LOADERS = {"optimize": image.load, "transfer": transfer.load, "train": training.load}


def load(config, cache=None) -> Run:
    """The `Run` of a config, read and checked.

    Args:
      config: a ConfigDict, or a dict such as config.json holds; its `method` is one of `LOADERS`.
      cache: a `Cache` of runs that may share pictures and networks.

    Raises:
      UserError: naming the key, the value expected and the nearest valid name.
    """
    config = validate.as_config(config)
    if "method" not in config:
        raise UserError("the config has no key 'method'; expected that of an image, such as configs/demo.py")
    check_choice("method", config.method, LOADERS)
    return LOADERS[config.method](config, cache)


def run(config, workdir, command="", *, restart=False) -> dict[str, Path]:
    """Runs a config into a run folder, or goes on with it, or finds it finished.

    Args:
      config: a ConfigDict, as those in configs/ return it, or a dict such as config.json holds.
      workdir: path of the run folder.
      command: the command line, for provenance.
      restart: whether to replace a run that is in the folder.

    Returns:
      {"picture": path, ...} of the outputs.

    Raises:
      UserError: for a mistake that a person can mend.
      NotFiniteError: where the run failed.
    """
    loaded = load(config)
    for note in loaded.notes:
        notify(f"note: {note}")
    with RunFolder(workdir, loaded.config, loaded.provenance(command), restart=restart) as folder:
        outputs = {"picture": folder.path / "image.png"}
        if as_first(folder.finished):
            notify(f"already finished: {outputs['picture']}")
        else:
            (outcome,) = loaded.run_batch([loaded], folder)
            folder.sync_metrics()
            if outcome.reason:
                path = folder.path / "last_good.png"
                files.write_atomic(path, images.encode_png(outcome.image, loaded.label))
                raise NotFiniteError(f"{outcome.reason}; the last good image is {path}")
            for note in outcome.notes:
                notify(f"note: {note}")
            for name, content in outcome_files(outcome, loaded.label).items():
                files.write(folder.path / name, content)
        folder.finish()
        return outputs | loaded.write_report(folder.path)


def follow(config) -> None:
    """Takes part in the training that the first process of several makes by `run`.

    Raises:
      UserError: for a mistake that a person can mend.
    """
    loaded = load(config)
    if not as_first(False):
        loaded.run_batch([loaded], Follower())


def outcome_files(outcome, label) -> dict[str, dict | bytes]:
    """{name: content} of the files that a run leaves, `image.png` last, which says that it has finished."""
    picture = images.encode_png(outcome.image, label)
    if outcome.reason:
        return {"last_good.png": picture, "failed.json": {"reason": outcome.reason}}
    weights = {"weights.json": outcome.weights} if outcome.weights else {}
    return {**weights, **outcome.files, "cost.json": outcome.cost, "image.png": picture}

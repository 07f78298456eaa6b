"""Stylises a photograph: python -m experiments.stylize --config=configs/gatys2016.py --workdir=…"""

from absl import flags
from ml_collections import config_flags

from experiments import command
from nstjax import experiment as experiments
from nstjax import io, report, run
from nstjax.runfolder import RunFolder

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to make, or to go on with.")


def main(_):
    experiment = experiments.load(_CONFIG.value)
    for note in experiment.notes:
        run.say(f"note: {note}")
    provenance = experiments.provenance(experiment)
    with RunFolder(_WORKDIR.value, experiment.config, provenance) as folder:
        image = folder.path / "image.png"
        if folder.finished:
            run.say(f"already finished: {image}")
        else:
            pixels = run.run(experiment, folder)
            io.write_atomic(image, io.encode_png(pixels, experiment.label))
        if not (folder.path / "report.html").exists():
            report.write(experiment, folder.path)
        print(f"picture: {image}\nreport:  {folder.path / 'report.html'}")


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])

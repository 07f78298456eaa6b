"""Pages of sweeps with words and numbers that are hard to show."""

import base64
import dataclasses
import io

from PIL import Image

from nstjax import sweeps
from nstjax.sweeps import Design
from nstjax.sweeps.effects import Effect
from nstjax.sweeps.page import Page, PagePoint, Source, SourcePicture
from nstjax.sweeps.record import Record
from nstjax.sweeps.results import Comparison, CrossLosses

ODD = """a "quoted" <b>ö</b> & 'c'"""
EVIL = "</script><script>evil()</script><!-- <script>"


def picture(*colour):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 9), colour).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def made(losses=("gram", "cmd", ODD), pairs=("a+b", "c+d"), seeds=(0, 1), others=()):
    """A sweep with a point that failed, one that is missing, and numbers that are missing."""

    def levels(factor, labels):
        return sweeps.factor(factor, {label: {factor: label} for label in labels})

    compared = [levels("loss", losses), *(levels(f"other{i}", labels) for i, labels in enumerate(others))]
    planned = sweeps.product(*compared, levels("pair", pairs), sweeps.factor("seed", seeds))
    baseline = {factor: level.label for several in compared for factor, level in several[0].items()}
    planned = Design(planned, baseline, ("pair", "seed"))
    points = [point_of(i, at) for i, at in enumerate(planned.labels.values())]
    if len(points) > 1:
        points[1] = without(points[1], f"diverged {EVIL}")
    return Page(
        Record(f"sweep {ODD}", "python", planned),
        points[:-1] if len(points) > 3 else points,
        facts=["some points", EVIL],
        notes=["a warning"],
        sources=[
            Source(
                {"pair": pair},
                [
                    SourcePicture("content", pair, picture(250, 10 * i, 0)),
                    SourcePicture("style", ODD, picture(0, 250, 10 * i)),
                ],
            )
            for i, pair in enumerate(pairs)
        ],
        cross=CrossLosses(
            columns=list(losses),
            rows=["gram", "tv"],
            values=[
                [0.02 * 10**i for i in range(len(losses))],
                [None, 0.5, *[None] * len(losses)][: len(losses)],
            ],
            own=["gram", "tv", *[None] * len(losses)][: len(losses)],
        ),
        comparisons=comparisons(losses[1:]),
        meanings={"ssim": "alike"},
    )


def point_of(i, at):
    name = ",".join(f"{key}={label}" for key, label in at.items())
    steps = [0, 10, 20]
    return PagePoint(
        name,
        at,
        f"python -m experiments.sweep --only={name}",
        image=picture(7 * i % 256, 3 * i % 256, 90),
        report=f"points/{i}#?/report.html",
        measures={"ssim": (7 * i % 13 - 4) * 10.0 ** (i % 5 - 3), "nan": float("nan")},
        cost={"steps": 20, "seconds": 1.5 * (i % 4), "memory": 1.2e9},
        curves={
            "step": steps,
            "evaluations": steps,
            "seconds": [],
            "terms": {"total": [5.0 + i, 1.0, None], "style": [3.0, 0.0, 1e-5]},
        },
    )


def without(point, reason):
    nothing = {"image": None, "failed": reason, "measures": {}, "cost": {}, "curves": None}
    return dataclasses.replace(point, **nothing)


def comparisons(settings):
    first = Effect(0.5, 0.6, 0.1, 0.05, 0.2, 0.01, 2, 2, "higher", "", 0)
    other = Effect(0.5, 0.6, 0.2, None, None, None, 2, 1, "unclear", EVIL, 0)
    unknown = other._replace(baseline=None, value=None, effect=None)
    found = [
        Comparison(setting, "ssim", "ratio" if i else "difference", (other if i else first))
        for i, setting in enumerate(settings)
    ]
    return [*found, *(dataclasses.replace(last, effect=unknown) for last in found[-1:])]

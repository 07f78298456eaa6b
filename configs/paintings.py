"""One network for the six paintings of `example:`, each at any strength.

    python -m experiments.train --config=configs/paintings.py --config.data=photographs \\
        --workdir=runs/paintings

Half the width of Johnson et al. 2016, so that the file is small; a scale and a shift for each painting after
every norm (Dumoulin et al. 2017), and the weight of the style as an input (Dosovitskiy & Djolonga 2020). Each
painting pulls 20 times as hard as the content at the start, at strength 1, its four taps alike.

Expect, with 128 photographs (of the examples of luanfujun/deep-photo-styletransfer and of Debian packages),
the loss of 13 held out every 500 steps: 57.6, 51.7, 48.7, 46.7, 45.6, 45.1, 44.8, 44.6. 500 steps take 14
minutes on two CPU cores without other work. The network `paintings` of the package is of this training.

With crops of 128 pixels and 300 steps (:crop=128,steps=300 and --config.schedule_args.warmup_steps=30) that
loss is 48.4, 38.1 and 34.2 after 100, 200 and 300 steps under Muon, and 60.1, 52.5 and 44.3 under Adam at
5e-3 (--config.optimizer=adam --config.learning_rate=0.005).

Arguments: `crop=256`, `steps=4000`; `strength=0.1`, to train at that one alone; `smoke`.
"""

from nstjax import presets
from nstjax.config import calibrated, default_training_config, parse_arg, smoke_training, term

PAINTINGS = ("brushwork", "hatching", "mosaic", "stained_glass", "watercolour", "woodblock")


def get_config(arg=None):
    arg = parse_arg(arg, crop=256, steps=4000, strength=0.0, smoke=False)
    config = default_training_config()
    config.style = ",".join(f"example:{name}" for name in PAINTINGS)
    config.network_args = {"widths": (16, 32, 64), "output": "sigmoid"}
    config.strengths = {} if arg.strength else {"style": (0.1, 10.0)}
    config.crop = arg.crop
    config.batch = 4
    config.steps = arg.steps
    config.optimizer = "muon"
    config.learning_rate = 2e-2
    config.schedule = "warmup_cosine_decay_schedule"
    config.schedule_args = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": arg.steps // 40}
    config.schedule_args.decay_steps = arg.steps
    config.ema = 0.999
    config.validate_every = 500
    config.terms.content = term("feature", "relu3_1", reference="content")
    config.terms.style = term("gram", presets.STYLE_TAPS[:4])
    config.terms.tv = term("tv_nine_point", "image", reference="content")
    config.dtype = "float16"
    config = calibrated(config)
    config.terms.tv.weight = 0.05
    config.terms.style.weight *= arg.strength or 1.0
    config = smoke_training(config) if arg.smoke else config
    config.lock()
    return config

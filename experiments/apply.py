"""Paints photographs by a trained network, each in one pass.

    python -m experiments.apply --style=mosaic --inputs=photo.jpg --out=painted

The network of the six paintings of `example:` comes with the package; --network names the file of another.
--inputs takes files, patterns and a folder, such as the frames of a video; the same command goes on where
it was stopped. Of a network with several styles, --style names one or a blend (mosaic:2+woodblock:1), or
several, separated by commas; --strength is a factor of the style's weight, of a network that takes one.
"""

from absl import flags

from experiments import command
from nstjax.feedforward import painting

_NETWORK = flags.DEFINE_string(
    "network", "paintings", "A trained network: its file, or the name of one that comes along."
)
_INPUTS = flags.DEFINE_list("inputs", None, "Pictures, patterns of them, or a folder.")
_OUT = command.define_path("out", "The folder to fill, or for one picture its file.")
_STYLE = flags.DEFINE_list("style", [], "Styles or blends; the network's first by default.")
_STRENGTH = flags.DEFINE_string("strength", "", "A factor of a term's weight, or TERM:FACTOR, ...")
_OUTPUT = flags.DEFINE_string("output", "png", "The format: png, jpg or webp.")
_PHOTOREALISTIC = flags.DEFINE_list("photorealistic", [], "Filters of nstjax.photorealism to follow.")
_SHEET = command.define_path("sheet", "A JPEG of all pictures, a row an input.")
_SIZE = flags.DEFINE_integer("size", 0, "Long side in pixels; 0 leaves pictures as they are.", lower_bound=0)


def main(_):
    outputs = painting.run(
        _NETWORK.value,
        _INPUTS.value,
        _OUT.value,
        styles=_STYLE.value,
        strength=_STRENGTH.value,
        suffix=f".{_OUTPUT.value.lower().removeprefix('.').replace('jpeg', 'jpg')}",
        size=_SIZE.value,
        photorealistic=_PHOTOREALISTIC.value,
        sheet=_SHEET.value or "",
    )
    return "\n".join(f"{name}: {path}" for name, path in outputs.items())


if __name__ == "__main__":
    command.run(main, required=["inputs", "out"])

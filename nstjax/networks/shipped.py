"""Trained files that come with the package."""

import hashlib
import importlib.resources

from nstjax.errors import UserError

# SHA-256 of the files in `nstjax/networks/trained`.
DIGESTS = {
    "mini.safetensors": "97ff1215002a440a714b26da8fde7be6f41f4c113b8d7088bf23fa5779ac78e5",
    "mini_decoders.safetensors": "b24782cdfd11b547ceada324d828407d445761e523f5e1a063330bd6bd727f8c",
    "paintings.safetensors": "05dc4a544effa06fa1246cfe8eac28fa53b478672599905cf80b4e7ee5304830",
}


def read(file: str) -> bytes:
    """Bytes of one of `DIGESTS`, of a package that may be in a zip archive.

    Raises:
      UserError: for a file that is missing or damaged.
    """
    try:
        data = (importlib.resources.files("nstjax.networks") / "trained" / file).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is not in the installed package; install nstjax again") from None
    if (found := hashlib.sha256(data).hexdigest()) != DIGESTS[file]:
        raise UserError(
            f"{file} of the installed package is damaged: its SHA-256 is {found[:12]}..., expected "
            f"{DIGESTS[file][:12]}...; install nstjax again"
        )
    return data

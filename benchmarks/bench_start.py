"""Seconds from the start of a command to its picture, with an empty and with a warm cache of programs."""

import os
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "stylize": ("experiments.stylize", "--config=configs/gatys2016.py", "--config.steps=1"),
    "apply": ("experiments.apply", "--style=mosaic", "--inputs=example:coffee"),
}


def measure(sizes):
    """Rows {"size", "command", "cold", "warm", "ratio"} of a step through random weights, and of a network.

    "ratio" is of warm to cold.
    """
    rows = []
    for size in sizes:
        for command in COMMANDS:
            rows.append({"size": size, "command": command} | started(command, size))
            row = rows[-1]
            print(
                f"{size:5d} {command:8s} cold {row['cold']:6.2f} s, warm {row['warm']:6.2f} s: "
                f"{row['ratio']:.2f}",
                flush=True,
            )
    return rows


def started(command, size):
    """{"cold", "warm", "ratio"} of one of `COMMANDS`."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for state in ("cold", "warm"):
            words = {
                "stylize": [
                    "--config.weights=random",
                    f"--config.size={size}",
                    f"--workdir={folder}/{state}",
                ],
                "apply": [f"--size={size}", f"--out={folder}/{state}.png"],
            }[command]
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", *COMMANDS[command], *words],
                env=os.environ | {"JAX_COMPILATION_CACHE_DIR": "", "NSTJAX_CACHE": f"{folder}/cache"},
                check=True,
                capture_output=True,
            )
            found[state] = time.perf_counter() - begun
    return found | {"ratio": found["warm"] / found["cold"]}

"""A driver killed before a write: `killed_driver.py COUNT MODULE FLAGS...` for `-m MODULE FLAGS...`.

Writes are those of whole files, of lines of metrics, of checkpoints, and the naming of a folder.
"""

import os
import runpy
import signal
import sys


def before_write(count, end):
    """Calls `end()` in the place of the write of this number, from 0; returns a function that undoes it."""
    from nstjax import files
    from nstjax.folders import RunFolder

    places = ((files, "write_atomic"), (os, "rename"), (RunFolder, "log"), (RunFolder, "save"))
    wrapped = [(owner, name, getattr(owner, name)) for owner, name in places]
    left = [count]

    def counted(write):
        def wrapper(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                end()
            return write(*arguments, **options)

        return wrapper

    for owner, name, write in wrapped:
        setattr(owner, name, counted(write))

    def undo():
        for owner, name, write in wrapped:
            setattr(owner, name, write)
        return left[0]

    return undo


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # as `-m` does
    number, module, *_ = sys.argv[1:]
    before_write(int(number), lambda: os.kill(os.getpid(), signal.SIGKILL))
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)

"""A process that works for another one ends with it, even where that is killed, and leaves Ctrl-C to it."""

import os
import signal
import subprocess
import sys
import time

import psutil

PARENT = """
import multiprocessing, os, signal, time
from terrazzo.data.child_process import follow_parent

def wait(ready):
    follow_parent()
    os.kill(os.getpid(), signal.SIGINT)
    ready.send(os.getpid())
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    context.Process(target=wait, args=(there,), daemon=True).start()
    print(here.recv(), flush=True)
    time.sleep(60)
"""


def test_a_killed_parent_takes_its_workers_along(tmp_path: object) -> None:
    script = f"{tmp_path}/parent.py"
    with open(script, "w", encoding="utf-8") as file:  # noqa: PTH123 - a name with no meaning
        file.write(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        # Ctrl-C came to the worker before it said this.
        worker = int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 20
        while psutil.pid_exists(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not psutil.pid_exists(worker)

"""A stage's process ends at once, and yet does all that it had left to do."""

import subprocess
import sys

LEAVES = """
import atexit, sys, threading, time
from tasks.__main__ import leave

class Large:
    def __del__(self):
        print("taken apart")

def last():
    time.sleep(0.2)
    print("a thread ended")

kept = Large()
atexit.register(print, "registered")
threading.Thread(target=last).start()
threading.Thread(target=time.sleep, args=(6000,), daemon=True).start()
print("warned", file=sys.stderr, end="")
print("said")
leave(3)
"""


def test_what_was_left_to_do_is_done_and_what_was_loaded_is_not_taken_apart():
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\na thread ended\nregistered\n", "warned")

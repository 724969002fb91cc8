"""From the phase `ready` on the instance to the exit of create that waits for it."""
import datetime
import statistics
import time

import emulated


def ready_at(emulator):
    """When the instance wrote that it is ready, by the emulator's clock (which is ours)."""
    writes = [e for e in emulator.calls("PUT", "/guest-attributes/necoops/phase")
              if "all steps done" in str(e["body"])]
    return datetime.datetime.fromisoformat(writes[-1]["time"].replace("Z", "+00:00")).timestamp()


def run(_bench, folder):
    delays = []
    (folder / "setup.sh").write_text("#!/bin/sh\nsleep 3.$(date +%N | cut -c1-2)\n")
    with emulated.day(folder) as emulator:
        for turn in range(5):
            name = f"neco-ops-{turn}"
            made = emulator.run("necoops-create", "--name", name, "--set",
                                "instance.setup=setup.sh")
            ended = time.time()
            assert made.status == 0, made
            delays.append(ended - ready_at(emulator))
    print("\nphase `ready` to the exit of create   (bound: one poll interval, 1 s, + 0.5 s)\n"
          f"  median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s "
          f"of {len(delays)}")

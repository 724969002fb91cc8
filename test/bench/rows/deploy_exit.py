"""From the end of the stability window to the exit of deploy."""
import datetime
import json
import statistics
import time

import applied

STABLE_S = 1


def run(_bench, folder):
    delays = []
    with applied.cluster(folder) as place:
        assert place.deploy().status == 0
        for turn in range(7):
            place.greet(f"turn {turn}")
            run = place.start("--stable-for", f"{STABLE_S}s")
            run.process.wait()
            ended = time.time()
            assert run.process.returncode == 0, run.end()
            events = [json.loads(line) for line in
                      (folder / "e.jsonl").read_text().splitlines()]
            last = [e for e in events if e["type"] == "app" and e["state"] == "done"][-1]
            held = datetime.datetime.fromisoformat(last["time"].replace("Z", "+00:00")).timestamp()
            delays.append((ended - held - STABLE_S) * 1000)
    print("\nend of the stability window to the exit of deploy   (bound: 100 ms)\n"
          f"  median {statistics.median(delays):.0f} ms, longest {max(delays):.0f} ms "
          f"of {len(delays)}")

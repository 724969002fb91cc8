"""necoops-snapshot-load against a service that fails: the right bytes arrive, or nothing changes."""
import concurrent.futures
import datetime
import random

import pytest

from snapshots import PART, images, leftovers, listing, load, media, pack, seed

MEDIA = "method=GET,query=*alt=media*"


class Case:
    """A fault: which requests it hits, and what comes of it."""

    def __init__(self, rule, message=None, only_media=False, status=1):
        self.rule, self.message = rule, message
        self.only_media, self.status = only_media, status


CASES = {
    "reset": Case("reset"),
    "close": Case("close"),
    "truncate": Case("truncate=100"),
    "stall": Case("stall=1h", only_media=True),
    "429": Case("status=429,retry-after=1"),
    "503": Case("status=503"),
    "401": Case("status=401", only_media=True),
    "html": Case("html=502"),
    "other range": Case("header=Content-Range: bytes 7-8/9", only_media=True),
    "no range": Case("drop=Range", only_media=True),
    "other generation": Case("header=X-Goog-Generation: 7", only_media=True),
    "flipped byte": Case("flip=5000", "is corrupt: CRC32C of what came is", only_media=True),
    "other range always": Case("count=0,header=Content-Range: bytes 7-8/9",
                               "another range was answered than asked for", only_media=True),
    "no range always": Case("count=0,drop=Range",
                            "a range was asked for, 200 was answered", only_media=True),
    "other generation always": Case("count=0,header=X-Goog-Generation: 7",
                                    "another generation was answered", only_media=True),
    "replaced": Case("status=404", "was replaced while it was downloaded", only_media=True),
    "denied": Case("status=403", "storage.objects.get", only_media=True, status=4),
}
OBJECTS = ("s.tar", "disk.img")
PARTS = 3


@pytest.fixture
def objects(folder, images):
    """An archive and a plain object: what each must become."""
    (folder / "disk.img").write_bytes(random.Random(1).randbytes(2 * PART + 9999))
    pack(images, "s.tar", folder)
    return {"s.tar": {path: found[3] for path, found in listing(images).items()},
            "disk.img": {None: (folder / "disk.img").read_bytes()}}


def load_beside(emulator, name, number, stall):
    """Loads an object into a folder of its own, which holds something; how that ended."""
    top = emulator.folder / f"{number}-{name}"
    (top / "dest").mkdir(parents=True)
    (top / "dest" / "old").write_text("old")
    result = load(emulator, top.name, "--connections", "2", "--set",
                  f"snapshot.stallTimeout={stall}", cwd=top)
    content = {path if path != top.name else None: found[3]
               for path, found in listing(top / "dest").items()}
    return result, content, leftovers(top)


@pytest.mark.parametrize("what", CASES)
def test_fault_on_each_request(folder, objects, start_emulator, what):
    """One load for each request of it that can be hit: the token, the object, its parts."""
    case = CASES[what]
    runs = [(name, number) for name in OBJECTS
            for number in range(1 if case.only_media else 0, PARTS + 1)]
    rules = [f"{MEDIA if case.only_media else 'query=*'},path=*/{number}-{name},"
             f"n={number if case.only_media else number + 1},{case.rule}" for name, number in runs]
    if not case.only_media:
        rules.append(f"path=*token*,{case.rule}")
    served = {f"{number}-{name}": {"file": str(folder / name)} for name, number in runs}
    emulator = start_emulator(seed={"buckets": {"snapshots": {"objects": served}}}, faults=rules)
    stall = "400ms" if what == "stall" else "1m"  # a slow machine is no fault
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda run: load_beside(emulator, *run, stall), runs))
    hit = {e["fault"] for e in emulator.log() if e.get("fault")}
    assert hit == set(rules)
    for (name, number), (result, content, left) in zip(runs, ends):
        assert left == [], (name, number, left)
        if case.message:
            assert result.status == case.status and case.message in result.err, (number, result)
            assert content == {"old": b"old"}, (name, number)
        else:
            assert result.status == 0, (name, number, result)
            assert content == objects[name], (name, number)


def test_retry_after_is_obeyed(folder, images, start_emulator):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)),
                              faults=[f"{MEDIA},n=2,status=429,retry-after=2"])
    assert load(emulator, "s.tar").status == 0
    refused = [e for e in media(emulator) if e["status"] == 429]
    again = [e for e in media(emulator)
             if e["status"] == 206 and e["headers"]["Range"] == refused[0]["headers"]["Range"]]
    assert len(refused) == 1 and len(again) == 1
    sent = [datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00"))
            for e in refused + again]
    assert (sent[1] - sent[0]).total_seconds() >= 2


@pytest.mark.parametrize("name", ["s.tar.gz", "s.tar.xz", "s.tar.zst", "s.tar", "disk.img"])
def test_goes_on_where_it_broke(folder, images, start_emulator, name):
    if name == "disk.img":
        (folder / name).write_bytes(random.Random(1).randbytes(700_000))
    else:
        pack(images, name, folder)
    cut = 200_000
    emulator = start_emulator(seed=seed(folder, folder / name),
                              faults=[f"{MEDIA},count=0,truncate={cut}"])
    result = load(emulator, name, "-o", "json")
    assert result.status == 0, result
    if name == "disk.img":
        assert (folder / "dest" / name).read_bytes() == (folder / name).read_bytes()
    else:
        assert listing(folder / "dest") == listing(images)
    size = (folder / name).stat().st_size
    assert result.json["receivedBytes"] == size
    spans = sorted(tuple(map(int, e["headers"]["Range"][len("bytes="):].split("-")))
                   for e in media(emulator))
    came = [(first, min(last + 1, first + cut)) for first, last in spans]
    assert len(came) > size // PART + 1 and came[0][0] == 0 and came[-1][1] == size
    assert all(a[1] == b[0] for a, b in zip(came, came[1:])), came


def test_stalled_requests_go_on(folder, images, start_emulator):
    """The first ones stall in their middle; nothing is given up, and nothing comes twice."""
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)),
                              faults=[f"{MEDIA},count=3,stall=1h"])
    result = load(emulator, "s.tar", "--set", "snapshot.stallTimeout=300ms", "-o", "json", "-v")
    assert result.status == 0, result
    assert listing(folder / "dest") == listing(images)
    assert len([e for e in media(emulator) if e.get("fault")]) == 3
    assert result.json["receivedBytes"] == (folder / "s.tar").stat().st_size
    assert "was silent for 1 s" in result.err

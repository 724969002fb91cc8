"""The programs at other times: day boundaries, holidays, a leap day, both changes of daylight saving."""
import calendar
import shutil
import time

import pytest

from conftest import CONFIG, run_program

FAKETIME = shutil.which("faketime")
pytestmark = pytest.mark.skipif(not FAKETIME, reason="no faketime")
# The library that changes the time comes before the sanitizer's.
CLOCK = {"TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
         "ASAN_OPTIONS": "verify_asan_link_order=0"}
TOKYO = """\
schedule: {timeZone: Asia/Tokyo, up: "07:30", down: "21:00", holidays: [2026-11-23]}
"""
BERLIN = """\
schedule:
  timeZone: Europe/Berlin
  up: "07:30"
  down: "21:00"
  days: [sun, mon, tue, wed, thu, fri, sat]
"""


def at(when):
    """The beginning of a command line that runs at this time (UTC)."""
    return [FAKETIME, "-f", "@" + when]


def scheduled(folder, when, schedule):
    """What create --scheduled says at this time, when there is nothing to make."""
    (folder / "necoops.yaml").write_text(CONFIG + schedule)
    return run_program(*at(when), "necoops-create", "--scheduled", cwd=folder,
                       env=CLOCK)


@pytest.mark.parametrize("when, until", [
    ("2026-11-19 22:29:30", "Fri 2026-11-20 07:30 JST"),  # Friday, half a minute early
    ("2026-11-20 12:00:00", "Tue 2026-11-24 07:30 JST"),  # 21:00; a weekend and a holiday follow
    ("2026-11-21 03:00:00", "Tue 2026-11-24 07:30 JST"),  # Saturday noon
    ("2026-11-23 03:00:00", "Tue 2026-11-24 07:30 JST"),  # the holiday
    ("2026-11-23 15:00:00", "Tue 2026-11-24 07:30 JST"),  # midnight after it
    ("2028-02-28 12:00:00", "Tue 2028-02-29 07:30 JST"),  # the evening before a leap day
    ("2028-02-29 12:00:00", "Wed 2028-03-01 07:30 JST"),  # and of it
    ("2026-12-31 12:00:00", "Fri 2027-01-01 07:30 JST"),  # a year ends
])
def test_down(when, until, folder):
    result = scheduled(folder, when, TOKYO)
    assert result.status == 0, result
    assert result.out == f"nothing to make: the schedule has it down until {until}\n"


@pytest.mark.parametrize("when", [
    "2026-11-19 22:30:00",  # 07:30
    "2026-11-19 23:25:00",  # a job that CI started an hour late
    "2026-11-20 11:59:00",  # 20:59
    "2028-02-29 03:00:00",  # noon of a leap day
])
def test_up(when, folder):
    result = scheduled(folder, when, TOKYO)
    assert result.status == 4 and "nothing to make" not in result.out, result
    assert "credential" in result.err, "it went on, and found none"


@pytest.mark.parametrize("when, until", [
    ("2027-03-27 20:30:00", "Sun 2027-03-28 07:30 CEST"),  # the night when an hour is left out
    ("2027-03-28 05:29:00", "Sun 2027-03-28 07:30 CEST"),
    ("2027-10-30 20:30:00", "Sun 2027-10-31 07:30 CET"),  # and the one when it comes twice
    ("2027-10-31 06:29:00", "Sun 2027-10-31 07:30 CET"),
])
def test_daylight_saving(when, until, folder):
    result = scheduled(folder, when, BERLIN)
    assert result.out == f"nothing to make: the schedule has it down until {until}\n", result


@pytest.mark.parametrize("when, soft, hard", [
    ("2027-03-27 12:00:00", "2027-03-27 20:00", "2027-03-27T23:00:00Z"),  # 21:00 CET
    ("2027-03-28 06:00:00", "2027-03-28 19:00", "2027-03-28T22:00:00Z"),  # 21:00 CEST
    ("2027-10-30 12:00:00", "2027-10-30 19:00", "2027-10-30T22:00:00Z"),
    ("2027-10-31 12:00:00", "2027-10-31 20:00", "2027-10-31T23:00:00Z"),
    ("2027-10-30 20:00:00", "2027-10-31 20:00", "2027-10-31T23:00:00Z"),  # after 21:00: the next
])
def test_the_ends_of_a_life(when, soft, hard, folder, start_emulator):
    emulator = start_emulator()
    (folder / "necoops.yaml").write_text(CONFIG + BERLIN)
    result = emulator.run(*at(when), "necoops-create", "--dry-run", "-o", "json",
                          env={**CLOCK, "GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token()})
    assert result.status == 0, result
    body = result.json["request"]
    want = calendar.timegm(time.strptime(soft, "%Y-%m-%d %H:%M"))
    assert int(body["labels"]["necoops-until"]) == want
    assert body["scheduling"]["terminationTime"] == hard


def test_no_cluster_says_when_it_comes_back(folder, start_emulator):
    emulator = start_emulator()
    (folder / "necoops.yaml").write_text(CONFIG + TOKYO)
    result = emulator.run(*at("2026-11-20 14:00:00"), "necoops-status",
                          env={**CLOCK, "GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token()})
    assert result.status == 3, result
    assert result.err.endswith("there is no instance 'neco-ops'; the schedule brings it back on "
                               "Tue 2026-11-24 07:30 JST\n")

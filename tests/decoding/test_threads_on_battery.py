"""The core follows the power supply: psutil reads a folder of the form that Linux gives it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from chatglm_server.cli.main import main
from chatglm_server.decoding.backends import thread_count
from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.backends.thread_count import ThreadCount, runs_on_battery
from chatglm_server.decoding.model import ScheduledSequence
from chatglm_server.model_files.containers import read_model_file
from tests.random_models import write_random_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the folder is Linux's")

TOKENS = [int(token) for token in np.random.default_rng(7).integers(3, 280, 100)]


class PowerSupply:
    """A laptop: a battery, and a plug."""

    def __init__(self, folder: Path) -> None:
        battery, self._plug = folder / "BAT0", folder / "AC0" / "online"
        battery.mkdir()
        for name, text in (("energy_now", "50"), ("energy_full", "100"), ("power_now", "10"), ("capacity", "50")):
            (battery / name).write_text(f"{text}\n", encoding="ascii")
        self._status = battery / "status"
        self._plug.parent.mkdir()
        self.plug(True)

    def plug(self, online: bool) -> None:
        self._plug.write_text(f"{online:d}\n", encoding="ascii")
        self._status.write_text("Charging\n" if online else "Discharging\n", encoding="ascii")


@pytest.fixture
def power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PowerSupply:
    folder = tmp_path / "power_supply"
    folder.mkdir()
    monkeypatch.setattr(psutil._pslinux, "POWER_SUPPLY_PATH", str(folder))
    monkeypatch.setattr(thread_count, "_LOOK_S", 0.0)
    return PowerSupply(folder)


def test_results_are_the_same_when_the_plug_is_pulled(
    tmp_path: Path, power: PowerSupply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatglm_server")
    spec = read_model_file(write_random_model(tmp_path / "model.bin")).spec

    def passes(model: NativeModel, *, pulls: bool) -> list[tuple[int, npt.NDArray[np.float32]]]:
        """The threads and the logits of each pass; with `pulls` the plug is pulled or put in before each."""
        results = []
        for number, start in enumerate(range(0, len(TOKENS), 10)):
            power.plug(not (pulls and number % 2))
            logits = model.forward([ScheduledSequence(0, start, TOKENS[start : start + 10], 10)])
            results.append((model.pool.threads, np.array(np.from_dlpack(logits))))
        return results

    steady = passes(NativeModel(spec, 128, threads=2), pulls=False)
    power.plug(True)
    changing = passes(NativeModel(spec, 128, threads=2, threads_on_battery=1), pulls=True)
    assert [threads for threads, _ in steady] == [2] * 10
    assert [threads for threads, _ in changing] == [2, 1] * 5
    for (_, expected), (_, got) in zip(steady, changing, strict=True):
        assert expected.tobytes() == got.tobytes()
    assert caplog.messages[:2] == ["threads: 1, on battery", "threads: 2, on mains power"]


def test_a_machine_that_starts_on_its_battery(power: PowerSupply) -> None:
    power.plug(False)
    assert runs_on_battery()
    assert ThreadCount(2, 1).now() == 1
    assert ThreadCount(2).now() == 2


def test_a_machine_without_a_battery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil._pslinux, "POWER_SUPPLY_PATH", str(tmp_path))
    assert not runs_on_battery()


def test_more_threads_than_there_are_cpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--threads-on-battery", "1000"]) == 1
    assert "--threads-on-battery 1000: this process may use" in capsys.readouterr().err

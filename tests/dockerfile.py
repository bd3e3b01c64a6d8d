"""Does a Dockerfile's steps without Docker: in a chroot that shows this machine and keeps what the steps write apart.

The base image is this machine, with its Python as ``python``. It needs root, and overlayfs, as Docker does.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dockerfile_parse import DockerfileParser

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_OURS = ("CHATGLM_", "HF_", "XDG_", "PYTHON", "VIRTUAL_ENV")


class Stage:
    """What the steps of a stage have made so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environment["PATH"] = _PATH
        self.folder = "/"
        self.user = "root"
        self.entrypoint: list[str] = []
        self.health: list[str] = []

    def inside(self, words: list[str]) -> list[str]:
        """The command line that runs `words` in this stage, as its user and in its folder."""
        line = f"cd {self.folder} && exec {shlex.join(words)}"
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["chroot", f"--userspec={self.user}", str(self.root), "env", "-i", *variables, "/bin/sh", "-c", line]

    def do(self, instruction: str, value: str, context: Path, earlier: dict[str, Stage]) -> None:
        """Raises: CalledProcessError; ValueError for an instruction that is not known here."""
        if instruction == "RUN":
            subprocess.run(self.inside(["/bin/sh", "-c", value]), check=True, capture_output=True, text=True)
        elif instruction == "COPY":
            *sources, target = value.split()
            origin = context
            if sources[0].startswith("--from="):
                origin = earlier[sources.pop(0).removeprefix("--from=")].root
            self._copy([origin / source.lstrip("/") for source in sources], target)
        elif instruction == "ENV":
            for assignment in shlex.split(value):
                name, _, text = assignment.partition("=")
                self.environment[name] = text.replace("$PATH", self.environment["PATH"])
        elif instruction == "WORKDIR":
            self.folder = value
            (self.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction == "USER":
            self.user = value
        elif instruction == "ENTRYPOINT":
            self.entrypoint = json.loads(value)
        elif instruction == "HEALTHCHECK":
            self.health = json.loads(value.partition("CMD ")[2])
        elif instruction not in ("EXPOSE", "VOLUME"):  # these change no file
            raise ValueError(instruction)

    def _copy(self, sources: list[Path], target: str) -> None:
        place = self.root / str(Path(self.folder) / target).lstrip("/")
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, place)


@contextmanager
def built(dockerfile: Path, folder: Path) -> Iterator[Stage]:
    """The last stage of `dockerfile`, whose folder is the context. `folder` takes what the steps write."""
    parser = DockerfileParser(str(dockerfile), cache_content=True)
    stages: dict[str, Stage] = {}
    with ExitStack() as mounts:
        for step in parser.structure:
            if step["instruction"] == "FROM":
                _, _, name = step["value"].partition(" AS ")
                stage = Stage(_mount(folder / (name or "last"), mounts))
                stages[name] = stage
            elif step["instruction"] != "COMMENT":
                stage.do(step["instruction"], step["value"], dockerfile.parent, stages)
        yield stage


def _mount(folder: Path, mounts: ExitStack) -> Path:
    """A view of this machine, and all that is written there in `folder`."""
    root = folder / "root"
    for name in ("written", "work", "root"):
        (folder / name).mkdir(parents=True)
    layers = f"lowerdir=/,upperdir={folder}/written,workdir={folder}/work"
    _mount_at(root, mounts, "-t", "overlay", "overlay", "-o", layers)
    for system in ("dev", "proc"):
        _mount_at(root / system, mounts, "--bind", f"/{system}")
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    python = root / "usr" / "local" / "bin" / "python"
    python.unlink(missing_ok=True)
    python.symlink_to("/usr/bin/python3" if Path("/usr/bin/python3").exists() else Path(sys.executable).resolve())
    return root


def _mount_at(place: Path, mounts: ExitStack, *words: str) -> None:
    subprocess.run(["mount", *words, str(place)], check=True)
    mounts.callback(_unmount, place)


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], check=True)

"""The release: its workflows are valid, and build what pyproject.toml and mkdocs.yml say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS_FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(WORKFLOWS_FOLDER.glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_valid(workflow: Path) -> None:
    """By GitHub's schema of workflows, as check-jsonschema ships it."""
    words = ["--builtin-schema", "vendor.github-workflows", str(workflow)]
    result = subprocess.run([sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_site_is_taken_from_where_it_is_built() -> None:
    workflow = yaml.safe_load((WORKFLOWS_FOLDER / "site.yml").read_text(encoding="utf-8"))
    (upload,) = [step for step in workflow["jobs"]["build"]["steps"] if "upload" in step.get("uses", "")]
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"\nsite_dir: {upload['with']['path']}\n" in settings


@pytest.mark.parametrize(
    ("platform", "architecture", "tag"),
    [
        ("linux", "aarch64", "manylinux_aarch64"),
        ("macos", "arm64", "macosx_arm64"),
        ("windows", "AMD64", "win_amd64"),
    ],
)
def test_wheels_of_a_platform(platform: str, architecture: str, tag: str) -> None:
    """cibuildwheel reads its options, and builds or tries a wheel for each version of Python."""
    words = ["--platform", platform, "--archs", architecture, "--print-build-identifiers", str(ROOT)]
    result = subprocess.run([sys.executable, "-m", "cibuildwheel", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [f"cp3{minor}-{tag}" for minor in range(10, 15)]

"""The release: its workflow is valid, and builds what pyproject.toml says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def test_workflow_is_valid() -> None:
    """By GitHub's schema of workflows, as check-jsonschema ships it."""
    words = ["--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    result = subprocess.run([sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


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

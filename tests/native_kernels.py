"""The families of kernels that the compute core's tests try: all that this processor has.

Under an emulator each test takes many times as long. There scripts/test-native names the families that need it, in
CHATGLM_TEST_KERNELS, separated by commas.
"""

from __future__ import annotations

import os

import chatglm_native

_EMULATED = "CHATGLM_TEST_KERNELS" in os.environ
_chosen = os.environ.get("CHATGLM_TEST_KERNELS", ",".join(chatglm_native.kernels())).split(",")
if missing := set(_chosen) - set(chatglm_native.kernels()):
    raise ValueError(f"CHATGLM_TEST_KERNELS: this processor has no {', '.join(sorted(missing))}")

KERNELS = [name for name in chatglm_native.kernels() if name in _chosen]
"""The fastest first."""


def examples(count: int) -> int:
    """How many examples Hypothesis tries: a tenth of `count` under an emulator."""
    return count // 10 if _EMULATED else count

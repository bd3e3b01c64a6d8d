"""How fast this machine reads weights and multiplies with them, measured by the compute core."""

from __future__ import annotations

from dataclasses import dataclass

from ..decoding.backends.cpus import usable_cpus


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """`read`: bytes of weights a second, which bounds answers; `computed`: products of a weight and an activation a
    second, which bounds prompts.
    """

    kernels: str
    threads: int
    read: float
    computed: float


def measure_machine(weight_type: int, seconds: float, threads: int | None = None, cpu: str = "auto") -> MachineSpeed:
    """Multiplies with weights of a type (ggml's number) for about `seconds`.

    `threads` of None: as many as the CPUs that this process may use.
    """
    import chatglm_native  # here, for doctor says so if it cannot be loaded

    pool = chatglm_native.ThreadPool(threads or usable_cpus())
    read, computed = chatglm_native.measure_speed(pool, weight_type, seconds, cpu)
    return MachineSpeed(chatglm_native.kernels()[0] if cpu == "auto" else cpu, pool.threads, read, computed)


def rate_text(tokens: float) -> str:
    """Tokens a second, with as many digits as a measurement of a second is good for."""
    return f"{tokens:.1f}" if tokens < 10 else f"{tokens:.0f}"

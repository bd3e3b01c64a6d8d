"""``chatglm-server doctor``: runs the checks, and prints what they find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import ValidationError
from pydantic_settings import SettingsError

from ... import __version__
from ...hub.sizes import size_text
from ...settings import Settings
from ..commands import DoctorOptions
from ..speed import MachineSpeed, rate_text
from ..tables import print_table
from ..wrapped_text import wrapped
from .computing import check_core, check_cpus, check_memory, check_speed, measure
from .expectations import Expectation, expectations
from .finding import Finding, State
from .surroundings import (
    check_chatglm_cpp,
    check_model,
    check_models_disk,
    check_port,
    check_prompts_disk,
    check_proxies,
    check_settings,
    check_version,
)

_MARKS: dict[State, str] = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}


def run_doctor(options: DoctorOptions) -> int:
    """Returns the exit status: 1 if something will not work."""
    findings = _Findings(shown=not options.as_json)
    settings = _read_settings(findings)
    _look_around(settings, findings)
    machine = _measure(settings, findings)
    models = expectations(machine) if machine else []
    problems = findings.count("problem")
    if options.as_json:
        report = {
            "version": __version__,
            "works": not problems,
            "checks": [asdict(finding) for finding in findings.found],
            "machine": asdict(machine) if machine else None,
            "models": [asdict(model) for model in models],
        }
        print(json.dumps(report, indent=2))
    else:
        _print_models(models)
        print(f"\n{_count_text(problems, 'problem')}, {_count_text(findings.count('warning'), 'warning')}")
    return 1 if problems else 0


class _Findings:
    """Collects findings, and prints each at once if they are to be shown."""

    def __init__(self, *, shown: bool) -> None:
        self.found: list[Finding] = []
        self._shown = shown

    def note(self, finding: Finding) -> None:
        self.found.append(finding)
        if self._shown:
            print(wrapped(finding.found, f"{_MARKS[finding.state]:<8} {finding.check:<12} "), flush=True)
        if self._shown and finding.advice:
            print(wrapped(finding.advice, f"{'':<21} → "), flush=True)

    def count(self, state: State) -> int:
        return sum(finding.state == state for finding in self.found)


def _read_settings(findings: _Findings) -> Settings:
    """The settings that the server would use; the defaults if they are wrong."""
    findings.note(check_version())
    try:
        settings = Settings()
    except (ValidationError, SettingsError, UnicodeDecodeError) as error:
        advice = "correct it in the environment or .env"
        findings.note(Finding("settings", "problem", _settings_fault(error), advice))
        return Settings.model_construct()
    findings.note(check_settings(settings))
    return settings


def _look_around(settings: Settings, findings: _Findings) -> None:
    findings.note(check_chatglm_cpp())
    findings.note(check_proxies())
    findings.note(check_port(settings.host, settings.port))
    findings.note(check_models_disk())
    findings.note(check_prompts_disk(settings.kv_disk_mb))


def _measure(settings: Settings, findings: _Findings) -> MachineSpeed | None:
    """The machine's speed; None if the compute core cannot run here."""
    findings.note(check_cpus(settings.threads))
    findings.note(check_memory())
    core = check_core(settings.cpu)
    findings.note(core)
    if core.state == "problem":
        return None
    findings.note(check_model(settings))
    usual, *fewer = measure(settings)
    findings.note(check_speed(usual, fewer[0] if fewer else None))
    return usual


def _settings_fault(error: Exception) -> str:
    """The first fault, by the name of the variable."""
    if not isinstance(error, ValidationError):
        return "the file .env is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    problem = error.errors()[0]
    variable = "".join(f"CHATGLM_{str(name).upper()}: " for name in problem["loc"][:1])
    return f"{variable}{problem['msg'].removeprefix('Value error, ')}"


def _print_models(models: Sequence[Expectation]) -> None:
    if not models:
        return
    print()
    rows = [
        (model.name, size_text(model.size), _fit(model), *map(_rate, (model.answers, model.prompts)))
        if model.fits
        else (model.name, size_text(model.size), _fit(model), "", "")
        for model in models
    ]
    print_table([("MODEL", "FILE", "FITS", "ANSWERS", "PROMPTS"), *rows])
    print(wrapped("Q4_K_M files, tokens a second. pull takes a smaller quantization where this one does not fit."))


def _fit(model: Expectation) -> str:
    if not model.fits:
        return f"no: needs {size_text(model.needed)}"
    return f"when {size_text(model.lacking)} more are free" if model.lacking else "yes"


def _rate(tokens: float) -> str:
    return f"about {rate_text(tokens)}"


def _count_text(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"

"""What the benchmarks share: where the repository is, children, the machine, and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
INSTRUCTIONS = ('avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'amx_int8', 'avx512_bf16', 'amx_bf16')
"""Those that decide how quickly, and in int8 with which result, a CPU multiplies."""


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child process that finds this repository's packages."""
    return os.environ | {'PYTHONPATH': str(REPOSITORY)} | more


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` in a process of its own, so that no memory or cache of another measurement is in it."""
    command = [sys.executable, '-m', module, *arguments]
    return subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)


def run_basicsr(folder: Path, *arguments: str) -> None:
    """Run one command of the product in a folder.

    Raises:
        CalledProcessError: It failed; it has said why.
    """
    command = [sys.executable, '-m', 'dukd_basicsr', *arguments]
    subprocess.run(command, cwd=folder, env=child_environment(), check=True)


def describe_machine(device: str = 'cpu') -> dict[str, Any]:
    """Versions, threads, cores, device and the CPU's instruction sets, for the head of a result."""
    import torch

    flags = Path('/proc/cpuinfo').read_text() if Path('/proc/cpuinfo').is_file() else ''
    return {
        'python': platform.python_version(),
        'torch': torch.__version__,
        'system': platform.platform(),
        'threads': torch.get_num_threads(),
        'cores': os.cpu_count(),
        'device': torch.cuda.get_device_name() if device == 'cuda' else platform.processor() or platform.machine(),
        'instructions': [name for name in INSTRUCTIONS if f' {name} ' in flags],
    }


def write_json(path: Path | None, content: Any) -> None:
    """Write a result where `--json` names a file."""
    if path is not None:
        path.write_text(json.dumps(content, indent=2, default=float) + '\n', encoding='utf-8')

"""Looks at the machine before a lesson does: versions, device, speed, and what is missing."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from importlib import metadata

PYTHON = (3, 11)
TORCH = (2, 11)
# What is installed under a name -> what is imported.
PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "matplotlib": "matplotlib",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "joblib": "joblib",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
    "ipywidgets": "ipywidgets",
    "ipykernel": "ipykernel",
    "jupyterlab": "jupyterlab",
    "nbformat": "nbformat",
    "nbclient": "nbclient",
    "psutil": "psutil",
}


def checkup() -> bool:
    """Print versions, the device and its speed, and a cure for whatever is missing; True if all is well."""
    cures = []
    print(f"python       {platform.python_version()} on {platform.system()} {platform.machine()}")
    if sys.version_info < PYTHON:
        cures.append(f"Python {_dotted(PYTHON)} or newer is needed: install it and make a new environment with it.")
    for package, module in PACKAGES.items():
        version, trouble = _found(package, module)
        print(f"{package:12} {version or 'missing'}{f'  ({trouble})' if trouble else ''}")
        if trouble:
            cures.append(f'{package} does not import: run  {_install()} --force-reinstall "{_wanted(package)}"')
        elif version is None or (package == "torch" and _numbers(version) < TORCH):
            cures.append(f'{_wanted(package)} is needed: run  {_install()} --upgrade "{_wanted(package)}"')
    if not cures:
        cures += _training()
    for cure in cures:
        print(f"TO DO: {cure}")
    print("All is well." if not cures else "When that is done, check again: python -m vae_helpers check")
    return not cures


def _training() -> list[str]:
    """Print what training runs on and how fast; the cure if that fails."""
    try:
        from vae_helpers.devices import machine

        where = machine()
        print(where)
        print(f"A small training step takes {1000 * step_seconds():.2f} ms.")
    except Exception as error:
        return [f"training does not work here ({type(error).__name__}: {error})"]
    return []


def step_seconds(rounds: int = 50) -> float:
    """Median seconds of a training step: batch 128, a network of 64-256-64, Adam, on the chosen device."""
    import torch

    from vae_helpers.devices import machine, median_seconds

    device = machine().device
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64)).to(device)
        x = torch.rand(128, 64).to(device)
    adam = torch.optim.Adam(model.parameters())

    def step() -> float:
        adam.zero_grad()
        loss = (model(x) - x).square().sum(1).mean()
        loss.backward()
        adam.step()
        return loss.item()  # waits until the device is done

    return median_seconds(step, rounds)


def _found(package: str, module: str) -> tuple[str | None, str]:
    """The installed version, or None; and why it cannot be imported, if it is installed and cannot."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        version = None
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module
        return (None, "") if missing else (version, f"{type(error).__name__}: {error}"[:200])
    return version or getattr(imported, "__version__", "version unknown"), ""


def _wanted(package: str) -> str:
    return f"torch>={_dotted(TORCH)}" if package == "torch" else package


def _install() -> str:
    return f'"{sys.executable}" -m pip install'


def _numbers(version: str) -> tuple[int, ...]:
    """ "2.15.0+cpu" -> (2, 15, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else TORCH


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))

"""The surroundings of every test, of the workers that share them out, and of the notebooks' kernels.

This file is read before torch is imported, and what it puts into the environment is inherited.
"""

import json
import os
from pathlib import Path

# One thread for each of the processes that run side by side, unless another number is asked for.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = os.environ.get("VAE_HELPERS_THREADS", "1")
# A notebook under test leaves no record of exercises solved.
os.environ["VAE_HELPERS_PROGRESS"] = "off"
# Kernels choose the inline backend, which this variable would prevent.
os.environ.pop("MPLBACKEND", None)


def pytest_configure():
    """Tests draw into memory."""
    import matplotlib

    matplotlib.use("Agg")


def pytest_collection_modifyitems(items):
    """Slow notebooks first, then files that run notebooks, so that no process is left alone with one at the end."""
    times = Path(__file__).parent / "docs" / "times.json"
    seconds = json.loads(times.read_text("utf-8")) if times.exists() else {}

    def slowness(item):
        if item.path.suffix != ".ipynb":
            return -1 if item.path.name in ("test_faults.py", "test_notebooks.py") else 0
        return -(seconds.get(item.path.stem, {}).get("cpu_seconds") or 30)

    items.sort(key=slowness)

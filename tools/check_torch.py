"""Check that torch and torchvision belong together: `make` does so first of all after an install.

    python tools/check_torch.py .venv/torch.txt

Two builds that do not fit install without a word, and fail at the first operator of torchvision's, with an error or by
taking Python down. So one is run, in a process of its own; if it fails, one line says what there is and what to do.
`.venv/torch.txt` is what tools/choose_torch.py wrote.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # run as a script, Python looks for `tools` in tools/

from tools.choose_torch import asked_before, installed  # noqa: E402

# Of two boxes that overlap by nine tenths, the one with the higher score is kept.
OPERATOR = """
import torch
from torchvision.ops import nms

kept = nms(torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]]), torch.tensor([0.5, 0.9]), 0.5)
assert kept.tolist() == [1], f"nms kept {kept.tolist()}"
print(torch.version.cuda or "no CUDA")
"""


def complaint(asked: str, cpu: bool) -> str:
    """What is wrong with the pair that this Python imports, and the cure; "" if nothing is.

    Args:
        asked: what TORCH was, "" if it was left out.
        cpu: whether PyTorch's CPU builds were chosen.
    """
    pair = " and ".join(f"{name} {version}" for name, version in installed().items()) or "torch and torchvision"
    ran = subprocess.run([sys.executable, "-c", OPERATOR], capture_output=True, text=True)
    if ran.returncode:
        ended = f"Python ended with status {ran.returncode}"
        why = next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), ended)
        cure = (
            "To take the pair of the package index: make clean lab TORCH=default"
            if cpu
            else "To install both anew: make clean lab. "
            f"Where pip looks for packages: {sys.executable} -m pip config list"
        )
        return f"{pair} do not work together: {why}. {cure}"
    if asked == "cuda" and ran.stdout.strip() == "no CUDA":
        return (
            f"TORCH=cuda: the package index has no CUDA build for this machine, but {pair}. "
            "To take what it has: make clean lab TORCH=default"
        )
    return ""


def main(file: str) -> int:
    """Print what is wrong, if anything; 1 if there is."""
    path = Path(file)
    if wrong := complaint(asked_before(path), cpu="+cpu" in path.read_text("utf-8")):
        print(f"make: {wrong}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

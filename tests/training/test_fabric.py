"""Fabric loads without what it never uses, and leaves that whole for others."""

import subprocess
import sys

import pytest

from terrazzo.training.fabric import version_alone


def test_fabric_loads_neither_torchmetrics_nor_a_trainer() -> None:
    code = (
        "import sys, terrazzo.training.fabric\n"
        "idle = {'torchmetrics', 'lightning', 'transformers', 'torchvision', 'scipy.signal'}\n"
        "print(sorted(idle & set(sys.modules)))\n"
        "import torchmetrics\n"
        "print(torchmetrics.JaccardIndex.__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "JaccardIndex"]


def test_a_package_says_its_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorlog", raising=False)
    with version_alone("colorlog"):
        assert sys.modules["colorlog"].__version__
        assert not hasattr(sys.modules["colorlog"], "ColoredFormatter")
    assert "colorlog" not in sys.modules
    with version_alone("no-such-package"):
        assert "no-such-package" not in sys.modules
    with version_alone("sys"):
        assert sys.modules["sys"] is sys

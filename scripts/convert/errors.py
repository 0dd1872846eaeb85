"""How a conversion ends: the daemon's exit codes (src/cli/exit.rs)."""
from __future__ import annotations

import importlib
from typing import Any


class Failure(Exception):
    """Why nothing was written; `code` sorts it by what the caller can do about it."""

    code = 1


class UsageFailure(Failure):
    """The arguments make no sense together."""

    code = 64


class InputFailure(Failure):
    """A file that was named cannot be read."""

    code = 66


class ModelFailure(Failure):
    """The model or the manifest is wrong."""

    code = 78


# What to tell pip where the module has another name than its package.
PACKAGES = {"PIL": "pillow", "tomllib": "tomli"}


def need(module: str, what_for: str) -> Any:
    """The module, or a failure that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        top = module.split(".")[0]
        package = PACKAGES.get(top, top)
        raise Failure(f"{what_for} needs the Python package {package} ({e}); pip install {package}") from e

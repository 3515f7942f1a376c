"""Sizes for commands: measured, or remembered by digest; with what the source tells, where it is at hand."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from wherry import __version__
from wherry.analysis.size import BinarySize, SizeDocument
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound

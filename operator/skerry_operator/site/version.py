"""The version of this distribution, as reports name it."""

from importlib.metadata import version

VERSION = version("skerry")

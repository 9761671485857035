"""Network namespaces: making them, entering them, reaching into them with a socket, and removing them."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from .cgroups import is_zombie
from .errors import LabError

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def command(argv: list[str], *, seconds: float = 30) -> str:
    """Run a small system command and return its output. Raises LabError with the command and what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip() or f'exit {done.returncode}'}")
    return done.stdout


def is_netns(path: Path) -> bool:
    """Whether a namespace is really mounted at ``path``: an earlier run may have left only the empty file."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


def create(path: Path) -> bool:
    """Make a network namespace with ``lo`` up at ``path`` unless one is there; return whether it was made.

    ``unshare`` binds it there by itself. ``ip netns add`` would also turn the folder into a mount of its own, which
    nobody removes afterwards; ``ip -n`` works with both.
    """
    if is_netns(path):
        return False
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.touch()
    command(["unshare", f"--net={path}", "true"])
    command(["ip", "-n", path.name, "link", "set", "lo", "up"])
    return True


def remove(path: Path) -> None:
    """Unmount and remove the namespace's file, however many times it was mounted there."""
    while is_netns(path):
        command(["umount", str(path)])
    path.unlink(missing_ok=True)


def members(path: Path) -> set[int]:
    """Processes whose network namespace is the one at ``path`` (a pod has its own, and is not among them)."""
    if not is_netns(path):
        return set()
    wanted = path.stat().st_ino
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "ns/net").stat().st_ino == wanted and not is_zombie(int(entry.name)):
                    found.add(int(entry.name))
    return found


def connect(path: Path, address: tuple[str, int], *, seconds: float) -> socket.socket:
    """Open a TCP connection from inside the namespace at ``path``. Raises OSError like any connect.

    Sockets stay in the namespace they were made in, so only the thread that makes this one has to go there; a
    thread of its own, as there is no way back for a thread without a descriptor of where it came from.
    """
    result: list[socket.socket | OSError] = []

    def enter_and_connect() -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if _libc.setns(descriptor, CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), str(path))
            finally:
                os.close(descriptor)
            result.append(socket.create_connection(address, timeout=seconds))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=enter_and_connect, name=f"connect-{path.name}")
    thread.start()
    thread.join()
    (outcome,) = result
    if isinstance(outcome, OSError):
        raise outcome
    return outcome

#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Ending processes, mounts and cgroups that the commands have made."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
import typing

#: Variable that names the folder which a process belongs to.
MARK = 'NOVA_DOCKER_FOLDER'


def command(pid: int) -> str:
    """Command line of a process, empty when there is none."""
    try:
        line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except OSError:
        return ''
    return line.decode(errors='replace').replace('\0', ' ').strip()


def of_folder(folder: pathlib.Path) -> list[int]:
    """Processes, but this one, that belong to ``folder``.

    They have it in their command line, or under MARK in their environment
    (some programs overwrite the one, some the other).
    """
    pids = (int(entry.name) for entry in pathlib.Path('/proc').iterdir()
            if entry.name.isdigit())
    return [pid for pid in pids
            if pid not in (os.getpid(), os.getppid())
            and (f'{folder}/' in command(pid) or _marked(pid, folder))
            and _sees_our_files(pid)]


def _marked(pid: int, folder: pathlib.Path) -> bool:
    try:
        variables = pathlib.Path(f'/proc/{pid}/environ').read_bytes()
    except OSError:
        return False
    return f'{MARK}={folder}'.encode() in variables.split(b'\0')


def _sees_our_files(pid: int) -> bool:
    """Whether a process has our root: a container has the same paths."""
    try:
        return os.path.samefile(f'/proc/{pid}/root', '/')
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


def end(pids: typing.Iterable[int], grace: float) -> None:
    """Terminate processes, and kill those that stay for ``grace`` seconds."""
    left = [pid for pid in pids if alive(pid)]
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if alive(pid)]
    _signal(left, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if alive(pid)]


def _signal(pids: typing.Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def mounts(folder: pathlib.Path) -> list[str]:
    """Mount points below ``folder``, the deepest first."""
    points = []
    for line in pathlib.Path('/proc/self/mountinfo').read_text().splitlines():
        point = line.split()[4].encode().decode('unicode_escape')
        if point.startswith(f'{folder}/'):
            points.append(point)
    return sorted(points, key=len, reverse=True)


def unmount(folder: pathlib.Path) -> None:
    """Unmount all that is mounted below ``folder``."""
    for point in mounts(folder):
        if subprocess.call(['umount', point], stderr=subprocess.DEVNULL):
            subprocess.call(['umount', '-l', point])


def remove_cgroup(name: str) -> None:
    """Remove the (empty) cgroup ``name`` from every hierarchy."""
    root = pathlib.Path('/sys/fs/cgroup')
    for top in (root / name, *root.glob(f'*/{name}')):
        folders = sorted((each for each in top.rglob('*') if each.is_dir()),
                         key=lambda each: len(each.parts), reverse=True)
        for folder in [*folders, top]:
            with contextlib.suppress(OSError):
                folder.rmdir()

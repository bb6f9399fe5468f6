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

"""Root volumes: block devices with the file system of a server.

A root volume has one ext4, labelled :data:`LABEL`. At its top, which no
container sees, are ``diff`` or ``fs`` with all files of the server, ``work``,
which is the kernel's, and ``image.json``, which says what the server was made
of. Its owners may have had it in another server, as a plain device: so all
that is on it may be hostile, and is looked at first where nobody else sees it.
"""

import collections.abc
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys

from oslo_concurrency import processutils
import tenacity

import nova_docker.privsep
from nova_docker.privsep import copier
from nova_docker.privsep import disk
from nova_docker.privsep import filesystem
from nova_docker.privsep import mounts as mounts_
from nova_docker.privsep import program

#: Of a file system that the driver has made for a server.
LABEL = 'nova-docker-root'
#: Names of the directory of the files, each in use by one of the engine's
#: image stores.
_FILES = ('diff', 'fs')
_LOST = 'lost+found'
_CHUNK = 1 << 20
#: Seconds that the copy of an image may take.
_COPY = 3600


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def size(device: str) -> int:
    """Bytes of a device.

    :raises OSError: it cannot be read
    """
    with open(device, 'rb') as file:
        return file.seek(0, os.SEEK_END)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def read(device: str, offset: int, length: int) -> bytes:
    """What is on a device at a place, less at its end only.

    :raises OSError: it cannot be read
    """
    with open(device, 'rb') as file:
        file.seek(offset)
        return file.read(length)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def digests(device: str, length: int) -> tuple[str, str]:
    """MD5, as Glance has it, and SHA-256 of what a device begins with.

    :raises OSError: it cannot be read
    """
    found = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(device, 'rb') as file:
        while length and (piece := file.read(min(length, _CHUNK))):
            length -= len(piece)
            for each in found:
                each.update(piece)
    return found[0].hexdigest(), found[1].hexdigest()


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def document(device: str, place: str) -> bytes | None:
    """The document of a root volume that is not mounted; None without.

    The file system is checked first.

    :param place: a directory that is nobody else's; is made
    :raises ValueError: it is none, or larger than any
    :raises OSError: the file system cannot be mounted
    :raises oslo_concurrency.processutils.ProcessExecutionError: it is
        damaged
    """
    _check(device, whole=False)
    with _directory(place):
        try:
            found = _program('read', device, place)
        except FileNotFoundError:
            return None
    if len(found) > copier.LIMIT:
        raise ValueError('its image.json is too large')
    return found


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def make(device: str, place: str, layers: collections.abc.Sequence[str],
         content: bytes) -> None:
    """Make a root volume with the files of a container.

    What is on the device is lost: the caller knows that it may be.

    :param place: as of :func:`document`
    :param layers: directories of the container's layers, the topmost first
    :param content: its document
    :raises OSError: somebody uses the device, or the files can not be copied
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    os.close(os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC))
    # -F is not said: mke2fs refuses a device that is in use since.
    program.run('mke2fs', '-q', '-t', 'ext4', '-m', '0', '-L', LABEL, device)
    with _directory(place):
        _program('fill', device, place, *layers, given=content)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def attach(device: str, place: str, directory: str,
           layer: collections.abc.Sequence[str]) -> None:
    """Mount a root volume over the directory of a container's writable layer.

    As :func:`nova_docker.privsep.disk.attach` does with a file. The file
    system is checked first, and has all of the device after it.

    :param place: as of :func:`document`
    :param layer: names of the upper and the work directory
    :raises ValueError: the volume is not one of a server
    :raises NotADirectoryError: likewise
    :raises OSError: it cannot be mounted
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    _detach(device)
    _check(device, whole=True)
    with _directory(place):
        program.run('mount', '-t', 'ext4', '-o',
                    'nosuid,nodev,errors=remount-ro', device, place)
        try:
            _arrange(place, directory, *layer)
            disk.put_under(place, directory, layer)
        finally:
            mounts_.unmount(place)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def mounts(device: str) -> list[str]:
    """Where a device is mounted.

    :raises OSError: it is not there
    """
    return mounts_.of([device])


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def protect(device: str, protected: bool) -> None:
    """Have nobody write by the paths at which a device is mounted, or again.

    The container that runs has it by a mount of its own, and writes on. Some
    engines remove what is in a layer with its container, mounted or not.

    :raises OSError: it is not there
    """
    for path in mounts_.of([device]):
        mounts_.set_read_only(path, protected)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def detach(device: str) -> None:
    """Unmount a device, wherever it is mounted; one that is gone is fine.

    :raises OSError: it is in use
    """
    with contextlib.suppress(FileNotFoundError):
        _detach(device)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def release(directory: str) -> None:
    """See that nothing is mounted at the directory of a container's layer.

    :raises OSError: it is in use
    """
    while os.path.ismount(directory):
        mounts_.unmount(directory)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def grow(device: str) -> None:
    """Let a root volume that is mounted have all of its device.

    The kernel lets only root with CAP_SYS_RESOURCE.

    :raises OSError: it cannot
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    paths = mounts_.of([device])
    if not paths:
        return
    # It is grown by a path at which it is mounted.
    for path in paths:
        mounts_.set_read_only(path, False)
    try:
        program.run('resize2fs', device)
    finally:
        for path in paths:
            mounts_.set_read_only(path, True)


def _detach(device: str) -> None:
    while paths := mounts_.of([device]):
        # As of nova_docker.privsep.filesystem.unmount.
        with contextlib.suppress(OSError):
            mounts_.thaw(paths[-1])
        mounts_.unmount(paths[-1])


def _check(device: str, whole: bool) -> None:
    """See that a file system which nobody uses is sound, and mend it.

    :param whole: whether it has all of its device after that
    :raises ValueError: it names another device that belongs to it
    """
    if filesystem.external_journal(device):
        raise ValueError(f'the journal of {device} is on another device')
    grows = whole and disk.size(device) < size(device)
    _fsck('-p', *(['-f'] if grows else []), device)
    if grows:
        filesystem.run('resize2fs', device)


def _is_in_use(error: BaseException) -> bool:
    return isinstance(error, processutils.ProcessExecutionError) and (
        'is in use' in f'{error.stdout}{error.stderr}')


@tenacity.retry(retry=tenacity.retry_if_exception(_is_in_use), reraise=True,
                stop=tenacity.stop_after_delay(10),
                wait=tenacity.wait_fixed(0.2))
def _fsck(*arguments: str) -> None:
    """Mend a file system.

    What was mounted a moment ago may be in use for another one: a container
    that starts has a copy of all mounts of the host, until it has its own.
    """
    filesystem.run('e2fsck', *arguments, check_exit_code=filesystem.MENDED)


def _arrange(seen: str, directory: str, upper: str, work: str) -> None:
    """Give a root volume the names that the engine has for a container.

    :param directory: has other files of the engine, which belong to it
    """
    found = [name for name in _FILES
             if os.path.lexists(os.path.join(seen, name))]
    if len(found) != 1:
        raise ValueError('it has not the files of one server')
    files = os.path.join(seen, found[0])
    if not stat.S_ISDIR(os.lstat(files).st_mode):
        raise NotADirectoryError(f'{found[0]} of it is not a directory')
    for name in os.listdir(seen):
        if name not in (found[0], _LOST, copier.DOCUMENT):
            # It may be deeper than any function of Python goes.
            program.run('rm', '--recursive', '--force', '--',
                        os.path.join(seen, name))
    os.rename(files, os.path.join(seen, upper))
    os.mkdir(os.path.join(seen, work), 0o700)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                shutil.copy(entry.path, os.path.join(seen, entry.name),
                            follow_symlinks=False)


@contextlib.contextmanager
def _directory(place: str) -> collections.abc.Iterator[None]:
    os.makedirs(place, mode=0o700, exist_ok=True)
    try:
        yield
    finally:
        os.rmdir(place)


def _program(what: str, device: str, place: str, *layers: str,
             given: bytes = b'') -> bytes:
    """What the program says that has a mount namespace of its own.

    :raises OSError: a system call of it failed
    """
    try:
        said = filesystem.run(
            sys.executable, '-I', '-S', copier.__file__, what, device, place,
            *layers, given=given, timeout=_COPY)
    except processutils.ProcessExecutionError as error:
        code = int(error.exit_code or 0)
        if code in errno.errorcode and code > 1:
            raise OSError(code, os.strerror(code), device) from error
        raise
    # As it was, though it may be no text.
    return os.fsencode(said)

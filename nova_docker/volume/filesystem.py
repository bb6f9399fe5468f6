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

"""The file system of a volume, mounted on the host and in a container.

The host has it mounted as long as the volume is connected, the container has
a mount of its own: through its CDI specification when it starts, and put into
it by hand when it runs.
"""

import collections.abc
import errno
import typing

from nova import exception
from nova.i18n import _
from nova.volume import cinder
from oslo_concurrency import processutils

from nova_docker.privsep import filesystem as privileged


def metadata(context: typing.Any, volume_id: str) -> dict[str, str]:
    """What a user has noted with a volume.

    :raises nova.exception.NovaException: Cinder does not tell
    """
    volume = cinder.API().get(context, volume_id)
    return dict(volume.get('volume_metadata') or {})


def mount(device: str, directory: str, read_only: bool,
          allowed: collections.abc.Container[str]) -> None:
    """Have the file system of a device mounted on the host (idempotent).

    A device that has nothing but zeros, which takes to read all of it, gets
    one first.

    :param allowed: the kinds that this host mounts
    :raises nova.exception.InvalidVolume: it has none that can be mounted
    :raises OSError: the device can't be read or written
    """
    try:
        kind = _kind(device, not read_only and privileged.MADE in allowed)
        if kind not in allowed:
            raise exception.InvalidVolume(
                reason=_('this host mounts no %s of volumes') % kind)
        privileged.mount(device, directory, kind, read_only)
    except (ValueError, FileExistsError) as error:
        raise exception.InvalidVolume(reason=str(error)) from error
    except processutils.ProcessExecutionError as error:
        # Of e2fsck both matter, and the last lines say what is wrong.
        said = ' '.join(f'{error.stdout} {error.stderr}'.split())
        raise exception.InvalidVolume(
            reason=_('its file system is damaged: %s') % said[-200:]
        ) from error


def _kind(device: str, make: bool) -> str:
    """How to mount what is on a device.

    :param make: whether a blank one gets something
    """
    content: dict[str, str] = privileged.probe(device)
    if not content and make:
        privileged.make(device)
        return str(privileged.MADE)
    try:
        return str(privileged.KINDS[content['TYPE']])
    except KeyError:
        raise exception.InvalidVolume(
            reason=_('it has %(content)s and no file system of %(kinds)s') % {
                'content': _named(content),
                'kinds': ', '.join(privileged.KINDS)}) from None


def _named(content: dict[str, str]) -> str:
    if 'TYPE' in content:
        return content['TYPE']
    if 'PTTYPE' in content:
        return str(_('a partition table (%s)') % content['PTTYPE'])
    return str(_('nothing on it'))


def unmount(directory: str) -> None:
    """Unmount it on the host (idempotent).

    :raises OSError: it is in use there
    """
    privileged.unmount(directory)


def give(pid: int, container: str, directory: str, path: str) -> None:
    """Mount it in a container that runs, too (idempotent).

    :param pid: of its first process
    :param container: its id
    :param path: where it gets it
    :raises OSError: it has ended, or cannot have it there
    """
    privileged.attach(pid, container, directory, path)


def take(pid: int, container: str, major: int, minor: int) -> bool:
    """Take it from a container that runs (idempotent).

    :param major: of the device, which may be gone, as minor
    :returns: whether it is gone; else the container uses it, and keeps it
    :raises OSError: the container has ended
    """
    try:
        privileged.detach(pid, container, major, minor)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def grow(device: str, directory: str) -> None:
    """Let it have all of its device, which has grown.

    :raises nova.exception.InvalidVolume: it has none that can be mounted
    :raises oslo_concurrency.processutils.ProcessExecutionError: it cannot
    """
    privileged.grow(device, directory, _kind(device, make=False))

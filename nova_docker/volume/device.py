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

"""A connected volume as a block device: of the host, and of a container."""

import dataclasses
import errno
import os

from nova import exception
from nova.i18n import _
from oslo_log import log as logging

from nova_docker.privsep import device as privileged
from nova_docker.privsep import root
from nova_docker.spec import volumes

LOG = logging.getLogger(__name__)

#: What an opened node of a device says that is there no more.
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM)
#: Tells a boot of the host from others, after which numbers of devices mean
#: something else.
_BOOT = '/proc/sys/kernel/random/boot_id'
#: Bytes that are copied at a time, which takes seconds.
_PIECE = 256 << 20


def identify(volume: volumes.Volume) -> volumes.Volume:
    """A volume that os-brick has connected, with its device.

    :raises ValueError: it is no block device
    :raises OSError: it is not there
    """
    info = volume.info or {}
    # Some connectors tell it as bytes.
    path, major, minor = privileged.find(os.fsdecode(info['path']))
    return dataclasses.replace(
        volume, info={**info, 'path': os.fsdecode(info['path'])}, path=path,
        major=major, minor=minor, boot=boot())


def claim(volume: volumes.Volume) -> None:
    """See that the host does not use the device of a volume.

    :raises OSError: it does, or the device can't be opened
    """
    privileged.claim(volume.path, volume.read_only)


def set_read_only(volume: volumes.Volume, read_only: bool) -> None:
    """Have the device refuse to be written to, or not.

    :raises OSError: it is gone
    """
    privileged.set_read_only(volume.path, read_only)


def release(volume: volumes.Volume, unused: bool) -> None:
    """Leave the device of a volume as it was before, to be disconnected.

    One that is gone is fine, as is one that is something else by now.

    :param unused: see that the host does not use it
    :raises OSError: it does
    """
    if not (unused or volume.read_only):
        return
    try:
        check(volume)
        if unused:
            claim(volume)
        if volume.read_only:
            set_read_only(volume, False)
    except exception.InternalError as error:
        LOG.info('%s', error)
    except OSError as error:
        if error.errno not in _GONE:
            raise


def size(volume: volumes.Volume) -> int:
    """Bytes of the device of a volume.

    :raises OSError: it is not there
    """
    return int(root.size(volume.path))


def copy(source: volumes.Volume, target: volumes.Volume) -> None:
    """Copy all of a volume to the beginning of another one.

    Piece by piece: few things can be done as root at a time.

    :raises nova.exception.InvalidVolume: the other one is smaller
    :raises OSError: the host uses one, or they cannot be read or written
    """
    length = size(source)
    if size(target) < length:
        raise exception.InvalidVolume(
            reason=_('the new one has less space for data'))
    for offset in range(0, length, _PIECE):
        privileged.copy(source.path, target.path, offset,
                        min(_PIECE, length - offset))


def check(volume: volumes.Volume) -> None:
    """See that the device of a volume is still the one that was connected.

    :raises nova.exception.InternalError: it is another one, or gone
    """
    try:
        found = identify(volume)
    except (KeyError, OSError, ValueError) as error:
        raise _lost(volume) from error
    if found != volume:
        raise _lost(volume)


def _lost(volume: volumes.Volume) -> exception.InternalError:
    return exception.InternalError(
        _('Volume %s is not connected') % volume.id)


def give(volume: volumes.Volume, pid: int, container: str) -> None:
    """Give a container that runs a volume (idempotent).

    :param pid: of its first process
    :param container: its id
    :raises nova.exception.DevicePathInUse: it has something else there
    :raises OSError: it has ended, or the host can not do that
    """
    try:
        privileged.give(pid, container, *_node(volume))
    except FileExistsError as error:
        raise exception.DevicePathInUse(path=volume.device) from error


def take(volume: volumes.Volume, pid: int, container: str) -> list[str]:
    """Take a volume from a container that runs (idempotent).

    :returns: its processes that have it open; then it keeps it
    :raises OSError: it has ended, or the host can not do that
    """
    return list(privileged.take(pid, container, *_node(volume)))


def _node(volume: volumes.Volume
          ) -> tuple[str, int, int, str, int, int]:
    return (os.path.basename(volume.device), volume.major, volume.minor,
            volume.access, volumes.MODE, volumes.GROUP)


def boot() -> str:
    """Which boot of the host this is."""
    with open(_BOOT, encoding='ascii') as file:
        return file.read().strip()

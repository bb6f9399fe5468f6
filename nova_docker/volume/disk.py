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

"""The root disk of a container: a file system under its writable layer.

``[docker]disks_dir`` has, as root's::

    <instance uuid>/root-<container id>          the file of the disk
    <instance uuid>/root-<container id>.tmp      while it is made
    <instance uuid>/root-<container id>.mnt      where it is looked at first

It is mounted over the directory of the engine that has the layer, from the
creation of the container until its removal. Where the engine or the host has
unmounted it meanwhile, the container fails to start until it is mounted again.
"""

import collections.abc
import contextlib
import os

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils

from nova_docker.engine import client
from nova_docker.privsep import disk as privileged
from nova_docker.volume import rootfs

_ROOT = 'root-'


def path(disks_dir: str, instance_uuid: str, container_id: str) -> str:
    """The file of a container's root disk."""
    return os.path.join(disks_dir, instance_uuid, f'{_ROOT}{container_id}')


def make(engine: client.Engine, image: str, container_id: str, size: int,
         reserve: bool) -> None:
    """Have the disk of a container that has never run, mounted (idempotent).

    :param image: of :func:`path`
    :param size: bytes
    :param reserve: whether it takes its space on the host now
    :raises nova.exception.ComputeResourcesUnavailable: it cannot be made here
    """
    try:
        if not privileged.mounts(image):
            directory, layer = rootfs.directory(engine, container_id)
            privileged.make(image, size, directory, reserve)
            privileged.attach(image, directory, layer, size, not reserve)
    except (OSError, processutils.ProcessExecutionError) as error:
        raise exception.ComputeResourcesUnavailable(
            reason=_('the root disk cannot be made: %s') % error) from error


def mount(engine: client.Engine, image: str, container_id: str, size: int,
          reserve: bool) -> None:
    """Have the disk of a container mounted, with a size at least.

    The engine is asked only where that is not so, for else somebody may be
    starting the container, which blocks the answer.

    :param size: bytes; to grow, it must not be in use
    :raises nova.exception.InternalError: it cannot be mounted; the container
        does not start without
    """
    with _reported(image):
        if not privileged.mounts(image) or privileged.size(image) < size:
            directory, layer = rootfs.directory(engine, container_id)
            privileged.attach(image, directory, layer, size, not reserve)


def mounted(image: str) -> bool:
    """Whether a disk is mounted."""
    return bool(privileged.mounts(image))


def remove(image: str) -> None:
    """Remove a disk, mounted or not, if it is there.

    :raises nova.exception.InternalError: it cannot be removed
    """
    with _reported(image):
        privileged.remove(image)


def images(disks_dir: str) -> list[tuple[str, str, str]]:
    """The disks of a host: instance uuid, container id and file.

    What is not a root disk has the empty id.
    """
    return [(os.path.basename(os.path.dirname(image)),
             os.path.basename(image).partition(_ROOT)[2], image)
            for image in privileged.images(disks_dir)]


@contextlib.contextmanager
def _reported(image: str) -> collections.abc.Iterator[None]:
    try:
        yield
    except (OSError, processutils.ProcessExecutionError) as error:
        raise exception.InternalError(
            _('The disk %(image)s: %(error)s') % {
                'image': image, 'error': error}) from error

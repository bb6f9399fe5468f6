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

"""The disks of a container that are files with a file system.

``[docker]disks_dir`` has, as root's::

    <instance uuid>/root-<container id>      the file of the root disk
    <instance uuid>/ephemeral<N>-<mark>      the file of an ephemeral disk
    <file>.tmp                               while it is made
    <file>.mnt                               where it is looked at first
    <file>.fs                                where an ephemeral one is mounted

A root disk is a file system under the container's writable layer: it is
mounted over the directory of the engine that has the layer, from the creation
of the container until its removal. Where the engine or the host has unmounted
it meanwhile, the container fails to start until it is mounted again.

Of an ephemeral disk the container has the directory ``data``, by a mount in
its CDI specification. So it fails to start without that disk, too.
"""

import collections.abc
import contextlib
import os
import typing

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils

from nova_docker.engine import client
from nova_docker.privsep import disk as privileged
from nova_docker.volume import rootfs


def path(disks_dir: str, instance_uuid: str, container_id: str) -> str:
    """The file of a container's root disk."""
    return os.path.join(disks_dir, instance_uuid, f'root-{container_id}')


def ephemeral_paths(disks_dir: str, instance_uuid: str, mark: str,
                    count: int) -> list[str]:
    """The files of ephemeral disks."""
    return [os.path.join(disks_dir, instance_uuid,
                         f'ephemeral{number}-{mark}')
            for number in range(count)]


def make(engine: client.Engine, image: str, container_id: str, size: int,
         reserve: bool) -> None:
    """Have the disk of a container that has never run, mounted (idempotent).

    As :func:`mount`, and made if it is not there.

    :param image: of :func:`path`
    :param size: bytes
    :param reserve: whether it takes its space on the host now
    :raises nova.exception.ComputeResourcesUnavailable: it cannot be made here
    :raises nova.exception.Invalid: the engine does not tell where the
        container's file system is
    :raises nova_docker.engine.errors.EngineError: the engine does not answer
    """
    with _made():
        if not privileged.is_mounted(image, size):
            directory, layer = rootfs.directory(engine, container_id)
            privileged.make(image, size, directory, reserve)
            privileged.attach(image, directory, layer, size, not reserve)


def make_ephemeral(image: str, size: int, reserve: bool) -> None:
    """Have an ephemeral disk, mounted (idempotent).

    :raises nova.exception.ComputeResourcesUnavailable: it cannot be made here
    """
    with _made():
        if not privileged.is_mounted(image):
            directory = privileged.prepare(image)
            privileged.make(image, size, directory, reserve)
            privileged.attach(image, directory, [privileged.DATA], size,
                              not reserve)


def mount(engine: client.Engine, image: str, container_id: str, size: int,
          reserve: bool) -> None:
    """Have the disk of a container mounted, with a size at least.

    The engine is asked only where that is not so, for else somebody may be
    starting the container, which blocks the answer.

    :param size: bytes; to grow, it must not be in use
    :raises nova.exception.InternalError: it cannot be mounted; the container
        does not start without
    :raises nova.exception.Invalid: the engine does not tell where the
        container's file system is
    :raises nova_docker.engine.errors.EngineError: the engine does not answer
    """
    with _reported(image):
        if not privileged.is_mounted(image, size):
            directory, layer = rootfs.directory(engine, container_id)
            privileged.attach(image, directory, layer, size, not reserve)


def mount_ephemeral(image: str, reserve: bool) -> None:
    """Have an ephemeral disk mounted.

    :raises nova.exception.InternalError: it cannot be mounted
    """
    with _reported(image):
        if not privileged.is_mounted(image):
            privileged.attach(image, privileged.holder(image),
                              [privileged.DATA], 0, not reserve)


def ephemeral_mount(image: str, path: str) -> dict[str, typing.Any]:
    """An ephemeral disk as a CDI mount.

    :param path: where the container has it
    """
    return {'hostPath': data(image), 'containerPath': path, 'type': 'bind',
            'options': ['bind', 'rw', 'nosuid', 'nodev']}


def data(image: str) -> str:
    """Where the host has what is on an ephemeral disk."""
    return os.path.join(privileged.holder(image), privileged.DATA)


def mounted(image: str) -> bool:
    """Whether a disk is mounted."""
    return bool(privileged.is_mounted(image))


def remove(image: str) -> None:
    """Remove a disk, mounted or not, if it is there.

    :raises nova.exception.InternalError: it cannot be removed
    """
    with _reported(image):
        privileged.remove(image)


def images(disks_dir: str) -> list[tuple[str, str]]:
    """The disks of a host: instance uuid and file."""
    return [(os.path.basename(os.path.dirname(image)), image)
            for image in privileged.images(disks_dir)]


@contextlib.contextmanager
def _made() -> collections.abc.Iterator[None]:
    try:
        yield
    except (OSError, processutils.ProcessExecutionError) as error:
        raise exception.ComputeResourcesUnavailable(
            reason=_('the disk cannot be made: %s') % error) from error


@contextlib.contextmanager
def _reported(image: str) -> collections.abc.Iterator[None]:
    try:
        yield
    except (OSError, processutils.ProcessExecutionError) as error:
        raise exception.InternalError(
            _('The disk %(image)s: %(error)s') % {
                'image': image, 'error': error}) from error

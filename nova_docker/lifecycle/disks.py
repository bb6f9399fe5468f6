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

"""The disks of an instance's containers."""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import units
from oslo_utils import uuidutils

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import blocks
from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.network import plans
from nova_docker.spec import disk as spec
from nova_docker.spec import names
from nova_docker.spec import volumes
from nova_docker.volume import device
from nova_docker.volume import disk
from nova_docker.volume import layer
from nova_docker.volume import root
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)


def label(instance: typing.Any, block_device_info: typing.Any
          ) -> dict[str, str]:
    """The label of a container that gets new ephemeral disks."""
    return names.ephemerals_label(
        uuidutils.generate_uuid(dashed=False), spec.ephemeral_sizes(
            instance.flavor.ephemeral_gb, block_device_info))


def make(services: base.Services, instance: typing.Any,
         container: client.Json) -> None:
    """Have the disks of a container that has never run.

    An ephemeral one that another container had before is left as it is.

    :param container: its Id and Labels are read
    :raises nova.exception.ComputeResourcesUnavailable: it cannot be made here
    :raises nova.exception.Invalid: as of nova_docker.volume.disk.make
    """
    _mount_volume(services, container)
    if image := _image(services, container):
        disk.make(services.engine, image, container['Id'],
                  instance.flavor.root_gb * units.Gi,
                  services.options.disks.reserve)
    _mark, sizes = names.ephemerals(container['Labels'])
    for image, size in zip(_ephemerals(services, container), sizes):
        disk.make_ephemeral(image, size * units.Gi,
                            services.options.disks.reserve)


def mount(services: base.Services, instance: typing.Any,
          container: client.Json) -> None:
    """Have the disks of a container mounted, that of root of its size.

    :param container: as GET /containers/json has it
    :raises nova.exception.InternalError: it cannot be
    :raises nova.exception.Invalid: as of nova_docker.volume.disk.mount
    """
    if container['State'] == 'created':
        # What made it may have been cut off.
        make(services, instance, container)
        return
    _mount_volume(services, container)
    if image := _image(services, container):
        disk.mount(services.engine, image, container['Id'],
                   instance.flavor.root_gb * units.Gi,
                   services.options.disks.reserve)
    for image in _ephemerals(services, container):
        disk.mount_ephemeral(image, services.options.disks.reserve)


def mounts(services: base.Services, container: client.Json
           ) -> list[dict[str, typing.Any]]:
    """The CDI mounts of a container's ephemeral disks."""
    images = _ephemerals(services, container)
    return [disk.ephemeral_mount(image, path) for image, path in zip(
        images, spec.ephemeral_paths(len(images)))]


def check(services: base.Services, instance_uuid: str) -> None:
    """See that the newest container of an instance has its disks.

    For a start that Nova did not ask for: it may come before what made the
    container has come to its end.

    :raises nova.exception.InternalError: it has not
    """
    container = base.get(services, instance_uuid)
    for image in _images(services, container):
        if not disk.mounted(image):
            raise exception.InternalError(
                _('The disk %s is not mounted') % image)
    if _is_volume(container) and not root.mounted(
            _volume(services, container).path):
        raise exception.InternalError(_('The root volume is not mounted'))


def protect(services: base.Services, instance_uuid: str) -> None:
    """Keep the root volume of an instance that has started.

    Or one who removes its container by hand would remove the files on it.
    """
    volume = records.root(services.options.state_dir, instance_uuid)
    if volume is not None:
        root.protect(volume.path)


def copy(services: base.Services, source: client.Json,
         target: client.Json) -> None:
    """Give a container that never ran the files of another one, stopped.

    Those that are not of its image, and those on its ephemeral disks.

    :param target: its disks are mounted
    :raises nova.exception.InternalError: they can't be copied
    :raises nova.exception.Invalid: the engine does not tell where they are
    """
    mount_left(services, source)
    targets = parts(services, target)
    for name, directory in parts(services, source).items():
        layer.copy(directory, targets[name])


def parts(services: base.Services, container: client.Json) -> dict[str, str]:
    """Where the files of a container are that are not of its image.

    :param container: its disks are mounted
    :returns: directories by names that are the same on each host
    :raises nova.exception.Invalid: the engine does not tell where they are
    """
    return {'root': rootfs.upper(services.engine, container['Id'])} | {
        f'ephemeral{number}': disk.data(image) for number, image in
        enumerate(_ephemerals(services, container))}


def mount_left(services: base.Services, container: client.Json) -> None:
    """Have the disks of a container mounted that its instance leaves.

    :raises nova.exception.InternalError: they can't be
    """
    reserve = services.options.disks.reserve
    if image := _image(services, container):
        # Its size stays: it may come back.
        disk.mount(services.engine, image, container['Id'], 0, reserve)
    for image in _ephemerals(services, container):
        disk.mount_ephemeral(image, reserve)


def used(services: base.Services, container: client.Json) -> int:
    """Bytes that the files of a container take that are not of its image.

    :raises nova.exception.InternalError: they can't be seen
    :raises nova.exception.Invalid: the engine does not tell where they are
    """
    mount_left(services, container)
    return layer.used(rootfs.upper(services.engine, container['Id']))


def remove(services: base.Services, container: client.Json) -> None:
    """Remove a container, running or not, with its disks; or what is left.

    The disks go first: so there is none without a container, and the engine
    need not remove files one by one. Those that another container of the
    instance has as well stay.

    :param container: its Id and Labels are read
    :raises nova_docker.engine.errors.EngineError: the engine does not
    :raises nova.exception.InternalError: the disk can't be removed
    """
    with contextlib.suppress(errors.NotFound):
        images = _images(services, container)
        if images or _is_volume(container):
            with contextlib.suppress(errors.NotFound):
                services.engine.stop_container(container['Id'], 0)
        if _is_volume(container):
            _release(services, container)
        if images:
            others = [other for other in base.all_of_instance(
                services, names.instance_uuid(container['Labels']))
                if other['Id'] != container['Id']]
            kept = {image for other in others
                    for image in _images(services, other)}
            for image in images:
                if image not in kept:
                    disk.remove(image)
        services.engine.remove_container(container['Id'])


def remove_left(services: base.Services, instance_uuid: str) -> None:
    """Remove the disks of an instance whose containers somebody removed.

    In its turn.
    """
    found = [image for uuid, image in
             disk.images(services.options.disks.directory)
             if uuid == instance_uuid]
    present = found and {image for container in
                         base.all_of_instance(services, instance_uuid)
                         for image in _images(services, container)}
    for image in found:
        if image not in present:
            disk.remove(image)


def remove_unknown(services: base.Services,
                   known: collections.abc.Container[str]) -> None:
    """Remove the disks of instances that are gone, to Nova and the engine.

    One that Nova knows keeps what it has, for an engine may not list a
    container that it fails to read. Never raises.

    :param known: uuids of the instances that Nova has on this host
    """
    try:
        # In this order: a disk is made after its container.
        unknown = [(uuid, image) for uuid, image in
                   disk.images(services.options.disks.directory)
                   if uuid not in known]
        present = unknown and {
            names.instance_uuid(container['Labels']) for container in
            services.engine.list_containers([names.LABEL_INSTANCE])}
        for uuid, image in unknown:
            if uuid not in present:
                LOG.info('Removing %s, whose instance is gone', image)
                disk.remove(image)
    except (errors.EngineError, exception.InternalError):
        LOG.exception('Disks of instances that are gone may be left')


def _mount_volume(services: base.Services, container: client.Json) -> None:
    """Have the root volume of a container mounted, if it has one.

    :raises nova.exception.InternalError: it is not connected
    :raises nova.exception.InvalidVolume: it cannot be mounted
    """
    if _is_volume(container):
        volume = _volume(services, container)
        device.check(volume)
        root.mount(services.engine, volume.path, plans.root_path(
            services.options.state_dir,
            names.instance_uuid(container['Labels'])), container['Id'])


def _release(services: base.Services, container: client.Json) -> None:
    """See that the files on a root volume stay when its container goes.

    :raises nova.exception.InternalError: it is in use
    :raises nova.exception.Invalid: the engine does not tell where it is, and
        neither is it known by its device
    """
    instance_uuid = names.instance_uuid(container['Labels'])
    volume = records.root(services.options.state_dir, instance_uuid)
    try:
        if volume is not None:
            connections.unmount(services, instance_uuid, volume)
        root.release(services.engine, container['Id'])
    except OSError as error:
        raise exception.InternalError(
            _('The root volume can not be unmounted: %s') % error) from error
    except exception.Invalid:
        # As of a container that somebody could remove in part only.
        if volume is None:
            raise


def _is_volume(container: client.Json) -> bool:
    return bool(container['Labels'].get(names.LABEL_ROOT_DISK) == spec.VOLUME)


def _volume(services: base.Services,
            container: client.Json) -> volumes.Volume:
    """The root volume of a container.

    :raises nova.exception.InternalError: it is not connected
    """
    volume = records.root(services.options.state_dir,
                          names.instance_uuid(container['Labels']))
    if volume is None:
        raise exception.InternalError(_('The root volume is not connected'))
    return volume


def _image(services: base.Services, container: client.Json) -> str | None:
    """The file of a container's disk, None when it has none of its own."""
    labels = container['Labels']
    if labels.get(names.LABEL_ROOT_DISK) != spec.FILESYSTEM:
        return None
    return disk.path(services.options.disks.directory,
                     names.instance_uuid(labels), container['Id'])


def _ephemerals(services: base.Services,
                container: client.Json) -> list[str]:
    """The files of a container's ephemeral disks."""
    labels = container['Labels']
    mark, sizes = names.ephemerals(labels)
    return disk.ephemeral_paths(
        services.options.disks.directory, names.instance_uuid(labels), mark,
        len(sizes))


def numbers(services: base.Services, container: client.Json
            ) -> list[blocks.Number]:
    """The block devices of a container's disks that are files, mounted.

    :raises OSError: one is not
    """
    return [blocks.loop_of(image) for image in _images(services, container)]


def _images(services: base.Services, container: client.Json) -> list[str]:
    """The files of all disks of a container."""
    root = _image(services, container)
    return [*([root] if root else []), *_ephemerals(services, container)]

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

"""The root disks of an instance's containers."""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import units

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.spec import disk as spec
from nova_docker.spec import names
from nova_docker.volume import disk

LOG = logging.getLogger(__name__)


def make(services: base.Services, instance: typing.Any,
         container: client.Json) -> None:
    """Have the disk of a container that has never run, if it is to have one.

    :param container: its Id and Labels are read
    :raises nova.exception.ComputeResourcesUnavailable: it cannot be made here
    """
    if image := _image(services, container):
        disk.make(services.engine, image, container['Id'],
                  instance.flavor.root_gb * units.Gi,
                  services.options.disks.reserve)


def mount(services: base.Services, instance: typing.Any,
          container: client.Json) -> None:
    """Have the disk of a container mounted, of its flavor's size.

    :param container: as GET /containers/json has it
    :raises nova.exception.InternalError: it cannot be
    """
    if container['State'] == 'created':
        # What made it may have been cut off.
        make(services, instance, container)
    if image := _image(services, container):
        disk.mount(services.engine, image, container['Id'],
                   instance.flavor.root_gb * units.Gi,
                   services.options.disks.reserve)


def check(services: base.Services, instance_uuid: str) -> None:
    """See that the newest container of an instance has its disk.

    For a start that Nova did not ask for: it may come before what made the
    container has come to its end.

    :raises nova.exception.InternalError: it has not
    """
    container = base.get(services, instance_uuid)
    image = _image(services, container)
    if image and not disk.mounted(image):
        raise exception.InternalError(
            _('The disk %s is not mounted') % image)


def remove(services: base.Services, container: client.Json) -> None:
    """Remove a container, running or not, with its disk; or what is left.

    The disk goes first: so there is none without a container, and the engine
    need not remove its files one by one.

    :param container: its Id and Labels are read
    :raises nova_docker.engine.errors.EngineError: the engine does not
    :raises nova.exception.InternalError: the disk can't be removed
    """
    with contextlib.suppress(errors.NotFound):
        if image := _image(services, container):
            with contextlib.suppress(errors.NotFound):
                services.engine.stop_container(container['Id'], 0)
            disk.remove(image)
        services.engine.remove_container(container['Id'])


def remove_left(services: base.Services, instance_uuid: str) -> None:
    """Remove the disks of an instance whose containers somebody removed.

    In its turn.
    """
    present = {container['Id'] for container in
               base.of_instance(services, instance_uuid)}
    for uuid, container_id, image in disk.images(
            services.options.disks.directory):
        if uuid == instance_uuid and container_id not in present:
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
        unknown = [(uuid, image) for uuid, _container_id, image in
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


def _image(services: base.Services, container: client.Json) -> str | None:
    """The file of a container's disk, None when it has none of its own."""
    labels = container['Labels']
    if labels.get(names.LABEL_ROOT_DISK) != spec.FILESYSTEM:
        return None
    return disk.path(services.options.disks.directory,
                     names.instance_uuid(labels), container['Id'])

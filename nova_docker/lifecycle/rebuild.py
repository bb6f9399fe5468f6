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

"""rebuild: the old container goes only when the new one has started."""

import collections.abc
import contextlib
import dataclasses
import typing

from nova.compute import task_states
from nova import exception
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import create
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import left
from nova_docker.lifecycle import rescue
from nova_docker.lifecycle import spawn
from nova_docker.lifecycle import start
from nova_docker.spec import names
from nova_docker.spec import volumes as volumes_

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Volumes:
    """What ComputeManager gives to rebuild for the block devices.

    :ivar bdms: nova.objects.BlockDeviceMappingList
    """
    bdms: typing.Any
    detach: collections.abc.Callable[..., typing.Any]
    attach: collections.abc.Callable[..., typing.Any]


def rebuild(services: base.Services, context: typing.Any,
            instance: typing.Any, image_meta: typing.Any,
            injected_files: typing.Any, admin_password: str | None,
            network_info: typing.Any, block_device_info: typing.Any,
            accel_uuids: typing.Any, volumes: Volumes, timeout: int,
            preserve_ephemeral: bool) -> None:
    """Make the instance anew from an image, on its ports.

    Whatever fails, the old container is there as it was, if there was one: a
    hard reboot starts it. There is none in an evacuation, and where somebody
    removed it.

    Source: nova.virt.driver.ComputeDriver.rebuild.

    :param timeout: seconds that the old container has for a clean stop
    :param preserve_ephemeral: whether the new one has its ephemeral disks
    :raises nova.exception.BuildAbortException: what can't be honoured
    :raises nova.exception.ImageUnacceptable: the image
    """
    _refuse(services, instance, image_meta, injected_files, network_info,
            block_device_info, accel_uuids)
    with (_aborting(services, instance),
          services.gate.turn(instance.uuid, refuse=True) as turn):
        destroy.undo_left(services, instance.uuid)
        settle(services, instance)
        # As long as the old container runs.
        create.ensure_image(services, context, instance, image_meta,
                            create.of_instance(instance))
        old = base.find(services, instance.uuid)
        kept = (names.ephemerals_label(*names.ephemerals(old['Labels']))
                if old and preserve_ephemeral else None)
        if old:
            services.engine.stop_container(
                old['Id'], base.stop_timeout(instance, timeout))
        _attach_again(services, context, instance, volumes)
        with contextlib.ExitStack() as undo:
            undo.callback(_undo, services, instance, network_info, old)
            if old:
                services.engine.rename_container(
                    old['Id'], names.replaced_name(instance.uuid))
            with start.plugged(services, instance, network_info):
                container_id = create.create(
                    services, context, instance, image_meta, network_info,
                    injected_files, admin_password,
                    block_device_info=block_device_info, ephemerals=kept)
            with start.first(services, image_meta.id, container_id):
                start.container(services, context, turn, instance,
                                network_info, container_id)
            undo.pop_all()
        _remove(services, instance, old)


@contextlib.contextmanager
def _aborting(services: base.Services, instance: typing.Any
              ) -> collections.abc.Iterator[None]:
    """Let an instance keep what it has of its host, which refuses it.

    Nova takes that for an evacuation that failed, and gives the allocations of
    the instance up.

    :raises nova.exception.BuildAbortException: says why it is refused
    """
    try:
        yield
    except exception.ComputeResourcesUnavailable as error:
        if instance.host != services.host:
            raise
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=error.format_message()) from error


def _refuse(services: base.Services, instance: typing.Any,
            image_meta: typing.Any, injected_files: typing.Any,
            network_info: typing.Any, block_device_info: typing.Any,
            accel_uuids: typing.Any) -> None:
    """Refuse what can't be honoured, before anything is touched.

    :raises NotImplementedError: it boots from a volume, which two containers
        can't have, or has accelerators, of which Nova says only at spawn what
        they are: Nova destroys it, and spawns it again
    """
    if volumes_.has_root(block_device_info) or accel_uuids:
        raise NotImplementedError()
    with _aborting(services, instance):
        spawn.refuse(services, instance, image_meta, injected_files,
                     network_info, block_device_info, None)


def settle(services: base.Services, instance: typing.Any) -> None:
    """Leave one container to an instance, under its own name.

    Nova-compute may have died in the middle of a rebuild. The new container
    counts once it was started; a rescue does not.
    """
    rescue.end(services, instance.uuid)
    left.settle(services, instance)
    containers = base.of_instance(services, instance.uuid)
    if len(containers) > 1 and containers[0]['State'] == 'created':
        disks.remove(services, containers.pop(0))
    for container in containers[1:]:
        disks.remove(services, container)
    name = names.container_name(instance.uuid)
    if containers and containers[0]['Names'] != [f'/{name}']:
        services.engine.rename_container(containers[0]['Id'], name)


def _attach_again(services: base.Services, context: typing.Any,
                  instance: typing.Any, volumes: Volumes) -> None:
    """Detach and attach what is not the container's, in Nova's own steps.

    The first calls this driver, in this thread.

    Source: nova.compute.manager.ComputeManager._rebuild_default_impl.
    """
    volumes.detach(context, volumes.bdms)
    instance.task_state = task_states.REBUILD_BLOCK_DEVICE_MAPPING
    instance.save(expected_task_state=[task_states.REBUILDING])
    block_device_info = volumes.attach(context, instance, volumes.bdms)
    connections.connect_all(services, context, instance, block_device_info)
    instance.task_state = task_states.REBUILD_SPAWNING
    instance.save(
        expected_task_state=[task_states.REBUILD_BLOCK_DEVICE_MAPPING])


def _undo(services: base.Services, instance: typing.Any,
          network_info: typing.Any, old: client.Json | None) -> None:
    """Remove the new container and give the old one its place back.

    Never raises: the error that led here is what the user must see.
    """
    if old is None:
        destroy.undo_spawn(services, instance, network_info)
        return
    try:
        for container in base.of_instance(services, instance.uuid):
            if container['Id'] != old['Id']:
                disks.remove(services, container)
        settle(services, instance)
        start.unplug(services, instance, network_info)
    except Exception:
        LOG.exception('A failed rebuild was not undone; a hard reboot does '
                      'it', instance=instance)


def _remove(services: base.Services, instance: typing.Any,
            old: client.Json | None) -> None:
    """Remove the old containers, which nobody needs any more."""
    left.end(services, instance)
    try:
        if old:
            disks.remove(services, old)
    except (errors.EngineError, exception.InternalError):
        LOG.exception('The container that a rebuild replaced is left until '
                      'the next rebuild, hard reboot or delete')

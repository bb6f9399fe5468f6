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

"""rescue and unrescue: another container works on the instance's files.

The instance's own container stays as it is, stopped. As long as there is the
other one, it is the container of the instance to each verb, for it is newer,
and it has the file system of the own one under /mnt.
"""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
import tenacity

from nova_docker.engine import client
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import create
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import records
from nova_docker.lifecycle import start
from nova_docker.spec import environment
from nova_docker.spec import names
from nova_docker.spec import requests
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)

#: How often a container is looked at that just started, and the seconds
#: between: a shell without a terminal ends within the first of them.
_LOOKS = 4
_LOOK_AFTER = 0.25


def rescue(services: base.Services, context: typing.Any,
           instance: typing.Any, network_info: typing.Any,
           image_meta: typing.Any, password: str | None,
           block_device_info: typing.Any) -> None:
    """Start a container of the rescue image in the instance's place.

    Whatever fails, the instance's own container can be started again as it
    was, which a hard reboot does.

    Source: nova.virt.driver.ComputeDriver.rescue.

    :param password: of root in the new container
    :raises nova.exception.InstanceNotFound: there is no container to rescue
    :raises nova.exception.ImageUnacceptable: the rescue image
    :raises nova.exception.Invalid: its files can not be mounted here
    :raises nova.exception.InstanceNotRescuable: Nova knows of no image
    """
    if not boot.has_id(image_meta):
        raise exception.InstanceNotRescuable(
            instance_id=instance.uuid, reason=_('it boots from a volume; name '
                                                'an image to rescue it with'))
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        own = _own(services, instance)
        if records.root(services.options.state_dir, instance.uuid):
            # It is not connected since the host was booted.
            connections.connect_all(services, context, instance,
                                    block_device_info)
        disks.mount(services, instance, own)
        rootfs.mount(services.engine, own['Id'], start.RESCUE_MOUNT)
        properties = _properties(services, context, instance, image_meta)
        with contextlib.ExitStack() as undo:
            undo.callback(_undo, services, instance)
            end(services, instance.uuid)
            # Nova did, but somebody may have started it since.
            services.engine.stop_container(own['Id'], 0)
            container_id = create.create(
                services, context, instance, image_meta, network_info,
                admin_password=password, rescue_properties=properties)
            with start.first(services, image_meta.id, container_id):
                start.plug_and_start(services, context, turn, instance,
                                     network_info, container_id,
                                     block_device_info)
            if not _stays(services, instance.uuid):
                raise exception.ImageUnacceptable(
                    image_id=image_meta.id,
                    reason=_('its command ends at once'))
            undo.pop_all()


def unrescue(services: base.Services, context: typing.Any,
             instance: typing.Any) -> None:
    """Start the instance's own container; one that runs is left alone.

    Source: nova.virt.driver.ComputeDriver.unrescue.

    :raises nova.exception.InstanceNotFound: it is gone; the other one stays
    """
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        own = _own(services, instance)
        end(services, instance.uuid)
        if own['State'] not in base.RUNNING:
            start.plug_and_start(
                services, context, turn, instance,
                instance.get_network_info() or (), own['Id'])


def end(services: base.Services, instance_uuid: str) -> None:
    """Remove the container that an instance is rescued with, if there."""
    for container in base.of_instance(services, instance_uuid):
        if names.is_rescue(container['Labels']):
            disks.remove(services, container)


def _own(services: base.Services, instance: typing.Any) -> client.Json:
    """The instance's own container.

    :raises nova.exception.InstanceNotFound: there is none
    """
    for container in base.of_instance(services, instance.uuid):
        if not names.is_rescue(container['Labels']):
            return container
    raise exception.InstanceNotFound(instance_id=instance.uuid)


def _properties(services: base.Services, context: typing.Any,
                instance: typing.Any, image_meta: typing.Any
                ) -> collections.abc.Mapping[str, str]:
    """The docker_* properties of the rescue image.

    Nova drops them from image_meta, as they are not of its own.

    :raises nova.exception.ImageUnacceptable: what it asks for is refused
    """
    reasons = list(requests.of_image(image_meta.properties))
    if reasons:
        raise exception.ImageUnacceptable(
            image_id=image_meta.id, reason='; '.join(reasons))
    if image_meta.id == instance.image_ref:
        return create.of_instance(instance)
    image = services.image_api.get(context, image_meta.id)
    return environment.of_glance(image['properties'])


def _stays(services: base.Services, instance_uuid: str) -> bool:
    """Whether a container that was started runs on for a moment."""
    @tenacity.retry(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_attempt(_LOOKS),
        wait=tenacity.wait_fixed(_LOOK_AFTER),
        retry_error_callback=lambda looks: True)
    def runs() -> bool:
        return base.get(services, instance_uuid)['State'] in base.RUNNING

    return bool(runs())


def _undo(services: base.Services, instance: typing.Any) -> None:
    """Leave the instance's own container as the one that may start.

    Never raises: the error that led here is what the user must see.
    """
    try:
        end(services, instance.uuid)
        start.specify(services, instance)
    except Exception:
        LOG.exception('A failed rescue was not undone; a hard reboot does it',
                      instance=instance)

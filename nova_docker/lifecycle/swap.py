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


"""swap_volume: another volume in the place of one, with the same data.

A container has the device of a volume, and nothing is between the two that
could write to both while it copies. So the container does not have it
meanwhile, as after a detachment; Nova knows of the old one until all is done.
"""

import contextlib
import dataclasses
import typing

from nova import exception
from nova.i18n import _
from nova.virt import block_device as driver_block_device
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.lifecycle import volumes as verbs
from nova_docker.spec import volumes
from nova_docker.volume import device
from nova_docker.volume import encryption
from nova_docker.volume import filesystem

LOG = logging.getLogger(__name__)


def swap_volume(services: base.Services, context: typing.Any,
                old_connection: volumes.Json, new_connection: volumes.Json,
                instance: typing.Any, mountpoint: str) -> None:
    """Copy a volume to another one and have that in its place.

    Whatever fails, the instance has the old one as before.

    Source: nova.virt.driver.ComputeDriver.swap_volume.

    :raises nova.exception.DiskNotFound: it does not have it
    :raises nova.exception.VolumeRebaseFailed: says why
    """
    state_dir = services.options.state_dir
    # A container that starts meanwhile would have the old one.
    with (connections.failing(exception.VolumeRebaseFailed),
          services.gate.turn(instance.uuid, refuse=True)):
        old_id = driver_block_device.get_volume_id(old_connection)
        old = records.called(state_dir, instance.uuid, old_id)
        if old is None:
            raise exception.DiskNotFound(location=mountpoint)
        new = dataclasses.replace(
            _planned(context, old, new_connection), replaced=old_id)
        _refuse(services, instance.uuid, old, new)
        with contextlib.ExitStack() as undo:
            undo.callback(verbs.restore_quietly, services, instance.uuid,
                          old.id)
            _withdraw(services, instance.uuid, old)
            undo.callback(verbs.take_out_quietly, services, instance.uuid,
                          new.id)
            new = _filled(services, context, instance.uuid, old, new)
            records.swap(state_dir, instance.uuid, dataclasses.replace(
                old, state=volumes.DETACHING), new)
            connections.write_volumes(services, instance.uuid)
            with verbs.running(services, instance.uuid) as process:
                if process:
                    verbs.give(services, instance.uuid, new, *process)
            undo.pop_all()
        verbs.take_out_quietly(services, instance.uuid, old.id)


def _planned(context: typing.Any, old: volumes.Volume,
             connection: volumes.Json) -> volumes.Volume:
    """The new volume, in the place of the old one."""
    volume_id = driver_block_device.get_volume_id(connection)
    return volumes.Volume(
        volume_id, old.device, connection,
        encryption.metadata(context, volume_id, connection),
        mount_path=old.mount_path)


def _refuse(services: base.Services, instance_uuid: str,
            old: volumes.Volume, new: volumes.Volume) -> None:
    """Refuse what can't be swapped, before anything is touched.

    :raises nova.exception.VolumeRebaseFailed: says why
    """
    if old.root:
        reason = _('the server boots from it, and uses it as long as it runs')
    elif new.read_only:
        reason = _('the new volume is attached for reading only')
    elif new.mount_path and new.shared:
        reason = _('the file system of a volume that several servers may '
                   'have can be mounted for reading only')
    elif records.find(services.options.state_dir, instance_uuid, new.id):
        reason = _('the server has the new volume already')
    else:
        return
    raise exception.VolumeRebaseFailed(reason=reason)


def _withdraw(services: base.Services, instance_uuid: str,
              volume: volumes.Volume) -> None:
    """Take a volume from the container and have nobody write to it.

    :raises nova.exception.VolumeRebaseFailed: a process uses it
    """
    records.put(services.options.state_dir, instance_uuid,
                dataclasses.replace(volume, state=volumes.SWAPPING))
    with verbs.running(services, instance_uuid) as process:
        users = verbs.take(volume, *process) if process else []
    if users:
        raise exception.VolumeRebaseFailed(
            reason=_('in use by %s') % ', '.join(users))
    connections.unmount(services, instance_uuid, volume)


def _filled(services: base.Services, context: typing.Any,
            instance_uuid: str, old: volumes.Volume,
            new: volumes.Volume) -> volumes.Volume:
    """The new volume, connected, with all data, and mounted if it is to be.

    What is mounted has all of a larger one.
    """
    connected = connections.connect(
        services, context, instance_uuid,
        dataclasses.replace(new, mount_path=''))
    LOG.info('Copying volume %(old)s to %(new)s of instance %(uuid)s',
             {'old': old.id, 'new': new.id, 'uuid': instance_uuid})
    device.copy(old, connected)
    new = dataclasses.replace(connected, mount_path=new.mount_path,
                              state=volumes.ATTACHED)
    if new.mount_path:
        place = connections.place(services, instance_uuid, new)
        records.put(services.options.state_dir, instance_uuid,
                    dataclasses.replace(new, state=volumes.ATTACHING))
        filesystem.mount(new.path, place, False,
                         services.options.volume_filesystems)
        if device.size(new) > device.size(old):
            filesystem.grow(new.path, place)
    return new

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

"""Volumes that come, go and grow while an instance has its container."""

import collections.abc
import contextlib
import dataclasses
import typing

from nova import exception
from nova.i18n import _
from nova.virt import block_device as driver_block_device
from oslo_log import log as logging

from nova_docker.host import stats
from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.lifecycle import start
from nova_docker.lifecycle import throttles
from nova_docker.metadata import devices
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.spec import requests
from nova_docker.spec import volumes
from nova_docker.volume import connector
from nova_docker.volume import device
from nova_docker.volume import encryption
from nova_docker.volume import filesystem
from nova_docker.volume import root

LOG = logging.getLogger(__name__)

#: What Nova calls the root disk, and so by its manner the volumes: vdb, vdc.
#: The container does not have it.
ROOT_DEVICE = '/dev/vda'


def get_volume_connector(services: base.Services,
                         address: str) -> dict[str, typing.Any]:
    """What Cinder has to know of this host.

    Source: nova.virt.driver.ComputeDriver.get_volume_connector.

    :param address: of this host in the storage's network
    """
    return connector.properties(services.options.volumes, address,
                                services.host)


def attach_volume(services: base.Services, context: typing.Any,
                  connection_info: volumes.Json, instance: typing.Any,
                  mountpoint: str, encrypted: volumes.Json | None) -> None:
    """Give an instance one volume more.

    One that runs or is paused has it at once; one that is stopped has it at
    its next start. What fails leaves nothing: Nova gives the volume back.

    Source: nova.virt.driver.ComputeDriver.attach_volume.

    :param encrypted: Cinder's encryption metadata
    :raises nova.exception.NovaException: the volume cannot be attached
    """
    volume = volumes.Volume(
        driver_block_device.get_volume_id(connection_info), mountpoint,
        connection_info, encrypted or {})
    heal(services, volume.id)
    with (connections.failing(exception.VolumeAttachFailed,
                              volume_id=volume.id),
          _turn(services, instance.uuid)):
        volume = connections.placed(context, instance, volume)
        _refuse(services, instance.uuid, volume)
        base.get(services, instance.uuid)
        with contextlib.ExitStack() as undo:
            undo.callback(take_out_quietly, services, instance.uuid,
                          volume.id)
            volume = connections.connect(services, context, instance.uuid,
                                         volume)
            connections.write_volumes(services, instance.uuid)
            with running(services, instance.uuid) as process:
                if process:
                    give(services, instance.uuid, volume, *process)
            instance.device_metadata = devices.build(
                context, instance, instance.get_network_info() or ())
            instance.save()
            records.put(services.options.state_dir, instance.uuid,
                        dataclasses.replace(volume, state=volumes.ATTACHED))
            undo.pop_all()


def detach_volume(services: base.Services, connection_info: volumes.Json,
                  instance: typing.Any, mountpoint: str) -> None:
    """Take a volume from an instance, whether it runs or not (idempotent).

    Source: nova.virt.driver.ComputeDriver.detach_volume.

    :raises nova.exception.DeviceDetachFailed: it is in use, and attached as
        before; or it cannot be disconnected, and is not attached
    """
    volume_id = driver_block_device.get_volume_id(connection_info)
    with (connections.failing(exception.DeviceDetachFailed,
                              device=mountpoint),
          _turn(services, instance.uuid)):
        volume = records.called(services.options.state_dir, instance.uuid,
                                volume_id)
        if volume is None:
            LOG.info('Volume %s is not attached any more', volume_id,
                     instance=instance)
            return
        if volume.root and base.find(services, instance.uuid):
            raise exception.DeviceDetachFailed(
                device=mountpoint, reason=_('the server boots from it'))
        # Cinder may have changed it since the volume was attached.
        _take_out(services, instance.uuid, dataclasses.replace(
            volume, connection=connection_info))


def extend_volume(services: base.Services, context: typing.Any,
                  connection_info: volumes.Json, instance: typing.Any,
                  requested_size: int) -> None:
    """Have an instance see that a volume of it has grown.

    Source: nova.virt.driver.ComputeDriver.extend_volume.

    :param requested_size: bytes
    :raises nova.exception.VolumeExtendFailed: it has not
    """
    volume_id = driver_block_device.get_volume_id(connection_info)
    with (connections.failing(exception.VolumeExtendFailed,
                              volume_id=volume_id),
          _turn(services, instance.uuid)):
        volume = records.called(services.options.state_dir, instance.uuid,
                                volume_id)
        if volume is None:
            raise exception.DiskNotFound(location=volume_id)
        size = connector.extend(services.options.volumes, volume)
        if size is None or size < requested_size:
            raise exception.VolumeExtendFailed(
                volume_id=volume_id,
                reason=_('this host sees %s bytes of it') % size)
        if volume.encryption:
            encryption.extend(context, volume)
        if volume.mount_path:
            filesystem.grow(volume.path, connections.place(
                services, instance.uuid, volume))
        if volume.root:
            root.grow(volume.path)


def block_stats(services: base.Services, instance: typing.Any,
                disk_id: str) -> list[int] | None:
    """What was read from a volume and written to it, since it is connected.

    By all instances of this host that have it.

    Source: nova.virt.driver.ComputeDriver.block_stats.

    :param disk_id: its device name, such as vdb
    :returns: read requests and bytes, write requests and bytes, errors
    """
    for volume in records.read(services.options.state_dir, instance.uuid):
        if volume.device == f'/dev/{disk_id}' and volume.path:
            return stats.block_device(volume.major, volume.minor)
    return None


def get_all_volume_usage(
        services: base.Services,
        compute_host_bdms: collections.abc.Iterable[typing.Any],
) -> list[dict[str, typing.Any]]:
    """As of :func:`block_stats`, for all volumes of this host.

    Source: nova.virt.driver.ComputeDriver.get_all_volume_usage.
    """
    usages = []
    names = ('rd_req', 'rd_bytes', 'wr_req', 'wr_bytes')
    for each in compute_host_bdms:
        for bdm in each['instance_bdms']:
            found = block_stats(services, each['instance'],
                                bdm.device_name.removeprefix('/dev/'))
            if found:
                usages.append({
                    'volume': bdm.volume_id, 'instance': each['instance'],
                    **dict(zip(names, found))})
    return usages


def heal(services: base.Services, volume_id: str | None = None) -> None:
    """Take out what was cut off as it was attached or detached.

    Nova has not stored the former as attached, and is asked for the latter
    again. One that was to be swapped stays. Never raises.

    :param volume_id: of one that is wanted, and may have been in use by root's
        daemon of before as nova-compute started; all without
    """
    state_dir = services.options.state_dir
    for uuid in plans.instances(state_dir):
        for volume in records.read(state_dir, uuid):
            if (volume.state != volumes.ATTACHED and
                    volume_id in (None, volume.id)):
                with _turn(services, uuid):
                    _heal(services, uuid, volume.id)


def _heal(services: base.Services, instance_uuid: str,
          volume_id: str) -> None:
    """Undo what was done with a volume, unless it was just finished."""
    volume = records.find(services.options.state_dir, instance_uuid,
                          volume_id)
    if volume and volume.state != volumes.ATTACHED:
        LOG.warning('Volume %(volume)s of instance %(uuid)s was %(how)s as '
                    'nova-compute ended, which is undone',
                    {'volume': volume.id, 'uuid': instance_uuid,
                     'how': volume.state})
        (restore_quietly if volume.state == volumes.SWAPPING
         else take_out_quietly)(services, instance_uuid, volume_id)


def _refuse(services: base.Services, instance_uuid: str,
            volume: volumes.Volume) -> None:
    """Refuse what an attach can't do, before anything is touched.

    :raises nova.exception.DevicePathInUse: another volume is there
    :raises nova.exception.VolumeAttachFailed: says why
    """
    reasons = list(requests.of_volumes([volume.device],
                                       services.options.userns_remap))
    if reasons:
        raise exception.VolumeAttachFailed(
            volume_id=volume.id, reason='; '.join(reasons))
    for other in records.read(services.options.state_dir, instance_uuid):
        if other.id != volume.id:
            for path, taken in ((volume.device, other.device),
                                (volume.mount_path, other.mount_path)):
                if path and path == taken:
                    raise exception.DevicePathInUse(path=path)


def _turn(services: base.Services, instance_uuid: str
          ) -> contextlib.AbstractContextManager[typing.Any]:
    """The turn of an instance; a rebuild, which detaches, has it already."""
    if services.gate.holds(instance_uuid):
        return contextlib.nullcontext()
    return services.gate.turn(instance_uuid)


@contextlib.contextmanager
def running(services: base.Services, instance_uuid: str
            ) -> collections.abc.Iterator[tuple[int, str] | None]:
    """The first process of a container that runs, and the container's id.

    That it ends in the body is fine: then it has no devices.

    :raises nova.exception.InternalError: it is unknown
    """
    container = start.running(services, instance_uuid)
    # The engine would know it, too, but might not answer before this turn
    # ends.
    path = plans.netns_path(services.options.state_dir, instance_uuid)
    pid = netns.owner(path)
    if container is None or netns.ended(path):
        yield None
        return
    if pid is None:
        raise exception.InternalError(
            _('the first process of the container is unknown'))
    try:
        yield pid, container['Id']
    except OSError:
        if netns.owner(path) == pid:
            raise


def _take_out(services: base.Services, instance_uuid: str,
              volume: volumes.Volume) -> None:
    """Take a volume from the container and disconnect it.

    :raises nova.exception.DeviceDetachFailed: a process in the container has
        it open, and then it is as it was
    """
    state_dir = services.options.state_dir
    with contextlib.ExitStack() as undo:
        undo.callback(connections.write_volumes, services, instance_uuid)
        undo.callback(records.put, state_dir, instance_uuid, volume)
        records.put(state_dir, instance_uuid, dataclasses.replace(
            volume, state=volumes.DETACHING))
        connections.write_volumes(services, instance_uuid)
        with running(services, instance_uuid) as process:
            users = (take(volume, *process)
                     if process and volume.path else [])
            if users:
                raise exception.DeviceDetachFailed(
                    device=volume.device,
                    reason=_('in use by %s') % ', '.join(users))
        undo.pop_all()
    connections.disconnect(services, instance_uuid, volume)


def give(services: base.Services, instance_uuid: str,
         volume: volumes.Volume, pid: int, container: str) -> None:
    """Give a container that runs a volume, in its manner (idempotent)."""
    throttles.start(volume, pid, container)
    if volume.mount_path:
        filesystem.give(pid, container,
                        connections.place(services, instance_uuid, volume),
                        volume.mount_path)
    else:
        device.give(volume, pid, container)


def take(volume: volumes.Volume, pid: int, container: str) -> list[str]:
    """Take a volume from a container that runs (idempotent).

    :returns: who uses it; then it keeps it
    """
    if not volume.mount_path:
        users = device.take(volume, pid, container)
    elif filesystem.take(pid, container, volume.major, volume.minor):
        users = []
    else:
        users = [_('processes of the server')]
    if not users:
        throttles.end(volume, pid, container)
    return users


def take_out_quietly(services: base.Services, instance_uuid: str,
                     volume_id: str) -> None:
    """Undo an attachment that failed, which is what Nova must hear of."""
    _quietly(_take_out, services, instance_uuid, volume_id,
             'Volume %s may be left attached')


def restore_quietly(services: base.Services, instance_uuid: str,
                    volume_id: str) -> None:
    """Undo a swap that failed, which is what Nova must hear of."""
    _quietly(_restore, services, instance_uuid, volume_id,
             'Volume %s is attached, and its server does not have it until '
             'its next start')


def _quietly(undo: collections.abc.Callable[
        [base.Services, str, volumes.Volume], None],
        services: base.Services, instance_uuid: str, volume_id: str,
        failure: str) -> None:
    """Undo what was done with a volume, if it is known. Never raises.

    :param failure: what the log tells where it can't be undone
    """
    try:
        volume = records.find(services.options.state_dir, instance_uuid,
                              volume_id)
        if volume:
            undo(services, instance_uuid, volume)
    except Exception:
        LOG.exception(failure, volume_id)


def _restore(services: base.Services, instance_uuid: str,
             volume: volumes.Volume) -> None:
    """Let a container have a volume again that was taken for a swap."""
    records.put(services.options.state_dir, instance_uuid,
                dataclasses.replace(volume, state=volumes.ATTACHED))
    connections.write_volumes(services, instance_uuid)
    # It is not after a boot of the host.
    device.check(volume)
    if volume.mount_path:
        filesystem.mount(
            volume.path, connections.place(services, instance_uuid, volume),
            volume.read_only, services.options.volume_filesystems)
    with running(services, instance_uuid) as process:
        if process:
            give(services, instance_uuid, volume, *process)

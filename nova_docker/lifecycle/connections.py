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

"""The host's side of the volumes of instances: connected, or not."""

import collections.abc
import contextlib
import dataclasses
import os
import typing

from nova import exception
from nova.i18n import _
from nova.virt import block_device as driver_block_device
from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_docker.cdi import store
from nova_docker.lifecycle import base
from nova_docker.lifecycle import records
from nova_docker.lifecycle import unconfirmed
from nova_docker.spec import environment
from nova_docker.spec import volumes
from nova_docker.volume import connector
from nova_docker.volume import device
from nova_docker.volume import encryption
from nova_docker.volume import filesystem
from nova_docker.volume import root

LOG = logging.getLogger(__name__)

#: Characters of a reason that fit into a fault.
_REASON = 150


def connect_all(services: base.Services, context: typing.Any,
                instance: typing.Any, block_device_info: typing.Any) -> None:
    """Have the volumes connected that an instance starts with, and no others.

    The container does not run, and nobody can start it until its CDI
    specification is written again.

    :param block_device_info: of nova.virt.driver.get_block_device_info, with
        data that Cinder has just given; None for the volumes it has
    :raises nova.exception.VolumeAttachFailed: one cannot be connected
    """
    state_dir = services.options.state_dir
    known = records.read(state_dir, instance.uuid)
    paths = volumes.mount_paths(known)
    if move := unconfirmed.read(state_dir, instance.uuid):
        paths = move.mount_paths | paths
    wanted = known if block_device_info is None else [
        of_mapping(context, instance, mapping, paths) for mapping in
        block_device_info.get('block_device_mapping') or ()]
    if not known and not wanted:
        return
    store.remove(services.options.cdi_spec_dir, instance.uuid)
    ids = {volume.id for volume in wanted}
    for volume in known:
        if volume.id not in ids:
            LOG.info('Disconnecting volume %s, which Nova does not know',
                     volume.id, instance=instance)
            disconnect(services, instance.uuid, volume)
    for volume in wanted:
        with failing(exception.VolumeAttachFailed, volume_id=volume.id):
            volume = connect(services, context, instance.uuid, volume)
            records.put(state_dir, instance.uuid, dataclasses.replace(
                volume, state=volumes.ATTACHED))


def of_mapping(context: typing.Any, instance: typing.Any,
               mapping: typing.Any,
               paths: collections.abc.Mapping[str, str]
               ) -> volumes.Volume:
    """A volume of block_device_info.

    :param paths: of nova_docker.spec.volumes.mount_paths, of those which the
        instance has had: they stay where they are
    """
    connection = mapping['connection_info']
    volume_id = driver_block_device.get_volume_id(connection)
    volume = volumes.Volume(
        volume_id, mapping['mount_device'], connection,
        encryption.metadata(context, volume_id, connection),
        root=volumes.is_root(mapping))
    if volume_id in paths:
        return dataclasses.replace(volume, mount_path=paths[volume_id])
    return volume if volume.root else placed(context, instance, volume)


def placed(context: typing.Any, instance: typing.Any,
           volume: volumes.Volume) -> volumes.Volume:
    """A volume, with where its file system is to be mounted, if anywhere.

    :raises nova.exception.InvalidVolume: it cannot be there
    """
    try:
        path = volumes.mount_path(
            volume.device, filesystem.metadata(context, volume.id),
            environment.properties(instance.system_metadata),
            instance.flavor.extra_specs)
    except ValueError as error:
        raise exception.InvalidVolume(reason=str(error)) from error
    if path and volume.shared and not volume.read_only:
        raise exception.InvalidVolume(
            reason=_('the file system of a volume that several servers may '
                     'have can be mounted for reading only'))
    return dataclasses.replace(volume, mount_path=path)


def connect(services: base.Services, context: typing.Any,
            instance_uuid: str, volume: volumes.Volume) -> volumes.Volume:
    """Connect a volume (idempotent); whatever fails, it is not connected.

    :returns: it, with its device, and about to be attached
    :raises Exception: it cannot be
    """
    connector.check(volume)
    state_dir = services.options.state_dir
    known = records.find(state_dir, instance_uuid, volume.id)
    volume = dataclasses.replace(
        volume, state=volumes.ATTACHING, info=known.info if known else None)
    if known and known.state == volumes.ATTACHED:
        # It stays so when this is cut off: Nova knows it as attached.
        volume = dataclasses.replace(volume, state=volumes.ATTACHED)
    with contextlib.ExitStack() as undo:
        with _lock(volume):
            other = _other(services, instance_uuid, volume)
            if other and not volume.shared:
                raise exception.InvalidVolume(
                    reason=_('another server on this host has it'))
            if known:
                # As the container that ran left it.
                unmount(services, instance_uuid, known)
            records.put(state_dir, instance_uuid, volume)
            undo.callback(_disconnect_quietly, services, instance_uuid,
                          volume.id)
            if other:
                volume = dataclasses.replace(
                    volume, info=other.info, path=other.path,
                    major=other.major, minor=other.minor, boot=other.boot)
                device.check(volume)
                records.put(state_dir, instance_uuid, volume)
            else:
                volume = _connect(services, context, instance_uuid, volume)
            if volume.mount_path:
                filesystem.mount(
                    volume.path, place(services, instance_uuid, volume),
                    volume.read_only, services.options.volume_filesystems)
        undo.pop_all()
    return volume


def _connect(services: base.Services, context: typing.Any,
             instance_uuid: str, volume: volumes.Volume) -> volumes.Volume:
    """Connect a volume that nobody else on this host has."""
    if volume.encryption and volume.info:
        # The link leads to the volume again when it is connected.
        encryption.detach(volume)
    volume = dataclasses.replace(volume, info=connector.connect(
        services.options.volumes, volume))
    records.put(services.options.state_dir, instance_uuid, volume)
    if volume.encryption:
        encryption.attach(context, volume)
    volume = device.identify(volume)
    _refuse_device(services, instance_uuid, volume)
    records.put(services.options.state_dir, instance_uuid, volume)
    unmount(services, instance_uuid, volume)
    device.claim(volume)
    if volume.read_only:
        device.set_read_only(volume, True)
    return volume


def _refuse_device(services: base.Services, instance_uuid: str,
                   volume: volumes.Volume) -> None:
    """Refuse a volume whose device is that of another one.

    The next that is connected may get the number of one that is gone, and
    whoever had that one would have it.

    :raises nova.exception.InvalidVolume: says of which
    """
    state_dir = services.options.state_dir
    others = [(each, _('another server'))
              for each in records.others(state_dir, instance_uuid)]
    if volume.state != volumes.ATTACHED:
        # As it is not known which of these will be connected again, too.
        others += [(each, _('the server, which is gone'))
                   for each in records.read(state_dir, instance_uuid)
                   if each.id != volume.id]
    for other, whose in others:
        if (other.major, other.minor, other.boot) == (
                volume.major, volume.minor, volume.boot):
            # Disconnected, it would be gone for that one.
            records.drop(state_dir, instance_uuid, volume.id)
            raise exception.InvalidVolume(reason=_(
                'its device is that of volume %(volume)s of %(whose)s') % {
                    'volume': other.id, 'whose': whose})


def disconnect(services: base.Services, instance_uuid: str,
               volume: volumes.Volume, force: bool = False) -> None:
    """Disconnect a volume that no container has, and forget it (idempotent).

    What fails is known, and done again: by another detachment, by the next
    start of the instance, or as nova-compute starts.

    :param force: also when what was written does not get to the storage
    :raises Exception: os-brick fails
    """
    state_dir = services.options.state_dir
    with _lock(volume):
        unmount(services, instance_uuid, volume)
        volume = dataclasses.replace(volume, state=volumes.DETACHING)
        records.put(state_dir, instance_uuid, volume)
        write_volumes(services, instance_uuid)
        if not _other(services, instance_uuid, volume):
            # That nobody else has it mounted.
            device.release(volume, bool(volume.mount_path) and
                           not volume.shared and not force)
            if volume.encryption and volume.info:
                encryption.detach(volume)
            connector.disconnect(services.options.volumes, volume, force)
        records.drop(state_dir, instance_uuid, volume.id)


def disconnect_all(services: base.Services, instance_uuid: str) -> None:
    """Disconnect all volumes of an instance that has no container.

    Of one whose storage is away, too: nothing is to keep an instance from
    being deleted. Never raises.
    """
    for volume in records.read(services.options.state_dir, instance_uuid):
        try:
            disconnect(services, instance_uuid, volume, force=True)
        except Exception:
            LOG.exception('Volume %s may be left connected', volume.id)


def unmount(services: base.Services, instance_uuid: str,
            volume: volumes.Volume) -> None:
    """Unmount a volume that no container has any more (idempotent).

    :raises OSError: it is in use
    """
    if volume.mount_path:
        filesystem.unmount(place(services, instance_uuid, volume))
    elif volume.root and volume.path:
        # Or another volume may have its device by now.
        with contextlib.suppress(exception.InternalError):
            device.check(volume)
            root.unmount(volume.path)


def place(services: base.Services, instance_uuid: str,
          volume: volumes.Volume) -> str:
    """Where the host has a volume mounted."""
    return os.path.join(records.mounted(services.options.state_dir,
                                        instance_uuid), volume.id)


def write_volumes(services: base.Services, instance_uuid: str) -> None:
    """Have the next start of a container give it the volumes it has now."""
    known = records.read(services.options.state_dir, instance_uuid)
    mounted = records.mounted(services.options.state_dir, instance_uuid)
    store.set_volumes(
        services.options.cdi_spec_dir, instance_uuid,
        volumes.device_nodes(known), volumes.mounts(known, mounted), mounted)


@contextlib.contextmanager
def failing(failure: type[exception.NovaException], **what: str
            ) -> collections.abc.Iterator[None]:
    """Whatever fails in the body, fail with an exception of Nova.

    :param what: what the exception tells beside the reason
    """
    try:
        yield
    except exception.NovaException:
        raise
    except Exception as error:
        LOG.exception('A volume or share cannot be attached, detached or '
                      'extended')
        # Of a command, what it said; its arguments may be secrets.
        reason = getattr(error, 'stderr', None) or str(error)
        raise failure(**what, reason=reason.strip()[-_REASON:]) from error


def _disconnect_quietly(services: base.Services, instance_uuid: str,
                        volume_id: str) -> None:
    """Undo a connection that failed, which is what Nova must hear of."""
    volume = records.find(services.options.state_dir, instance_uuid,
                          volume_id)
    try:
        if volume:
            disconnect(services, instance_uuid, volume)
    except Exception:
        LOG.exception('Volume %s may be left connected', volume_id)


def _other(services: base.Services, instance_uuid: str,
           volume: volumes.Volume) -> volumes.Volume | None:
    """A volume as another instance of this host has it connected, too."""
    boot = device.boot()
    return next((other for other in records.others(
        services.options.state_dir, instance_uuid)
        if other.id == volume.id and other.path and other.boot == boot), None)


def _lock(volume: volumes.Volume) -> typing.Any:
    """One at a time: several instances of this host may have a volume."""
    return lockutils.lock(f'nova-docker-volume-{volume.id}')

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

"""Resize and cold migration: a new container gets the files of the old one.

It is of the new flavor, on this host or on another one. The old one stays
until the user confirms, and is the instance's own again when the user reverts,
with all that it had then.
"""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_serialization import jsonutils
from oslo_utils import units

from nova_docker.cdi import store
from nova_docker.engine import client
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import carried
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import create
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import flavors
from nova_docker.lifecycle import frozen
from nova_docker.lifecycle import left
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import pages
from nova_docker.lifecycle import portable
from nova_docker.lifecycle import rebuild
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import start
from nova_docker.spec import disk
from nova_docker.spec import requests
from nova_docker.spec import volumes
from nova_docker.transfer import control
from nova_docker.transfer import outgoing
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)

#: Of a smaller disk, the part that files may take: a file system takes some.
_FILLED = 0.9


def migrate_disk_and_power_off(
        services: base.Services, context: typing.Any, instance: typing.Any,
        flavor: typing.Any, network_info: typing.Any,
        block_device_info: typing.Any, timeout: int, here: bool) -> str:
    """Stop an instance and have it leave its container.

    Another host gets its files before. Whatever fails, it is as it was.

    Source: nova.virt.driver.ComputeDriver.migrate_disk_and_power_off.

    :param flavor: the one that it gets
    :param timeout: seconds for a clean stop
    :param here: whether it stays on this host
    :returns: what finish_migration is told: nothing of one that stays, of
        another one :func:`nova_docker.spec.volumes.mount_paths` as JSON
    :raises nova.exception.InstanceFaultRollback: says why not
    """
    with (services.gate.turn(instance.uuid, refuse=True) as turn,
          _refusing(), contextlib.ExitStack() as stack):
        migrating.settle(services, instance.uuid)
        destroy.undo_left(services, instance.uuid)
        rebuild.settle(services, instance)
        container = base.get(services, instance.uuid)
        _refuse(services, context, instance, container, flavor,
                block_device_info, here)
        paths = volumes.mount_paths(records.read(
            services.options.state_dir, instance.uuid))
        transfer = stack.enter_context(_begun(
            services, context, instance, container, here))
        with contextlib.ExitStack() as undo:
            undo.callback(_bring_back_quietly, services, context, turn,
                          instance, network_info, block_device_info,
                          container['State'] in base.RUNNING)
            frozen.thaw(services, instance.uuid)
            services.engine.stop_container(
                container['Id'], base.stop_timeout(instance, timeout))
            start.set_down(services.options.state_dir, instance.uuid)
            if transfer:
                disks.mount_left(services, container)
                portable.check_files(services, context,
                                     _destination(context, instance),
                                     container)
                transfer.finish(
                    left.parts(services, instance.uuid, container))
            _depart(services, instance, container)
            if not here:
                start.unplug(services, instance, network_info)
                store.remove(services.options.cdi_spec_dir, instance.uuid)
            undo.pop_all()
    return '' if here else jsonutils.dumps(paths)


def finish_migration(services: base.Services, context: typing.Any,
                     instance: typing.Any, disk_info: str,
                     network_info: typing.Any, image_meta: typing.Any,
                     block_device_info: typing.Any, power_on: bool,
                     share_info: typing.Any) -> None:
    """Make the container of an instance's new flavor, with its files.

    Whatever fails, it has the old one, stopped: a hard reboot starts it. On
    another host it makes a container of the files that have come.

    Source: nova.virt.driver.ComputeDriver.finish_migration.

    :param disk_info: of :func:`migrate_disk_and_power_off`
    """
    with (services.gate.turn(instance.uuid, refuse=True) as turn,
          contextlib.ExitStack() as undo):
        if disk_info:
            left.arrive(services, instance.uuid, jsonutils.loads(disk_info))
        files = left.files(services, instance.uuid)
        if not (files or volumes.has_root(block_device_info)):
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        undo.callback(_undo, services, instance, network_info)
        connections.connect_all(services, context, instance,
                                block_device_info)
        container_id = create.create(
            services, context, instance,
            boot.named(image_meta, block_device_info), network_info,
            block_device_info=block_device_info,
            files=files or create.Files(_on_its_volume))
        _start(services, context, turn, instance, network_info, container_id,
               block_device_info, power_on, share_info)
        undo.pop_all()
        if disk_info:
            left.remove(services, instance.uuid)


def confirm_migration(services: base.Services, migration: typing.Any,
                      instance: typing.Any, network_info: typing.Any) -> None:
    """Remove what an instance has left on this host (idempotent).

    Source: nova.virt.driver.ComputeDriver.confirm_migration.
    """
    with services.gate.turn(instance.uuid, refuse=True):
        left.remove(services, instance.uuid)
    if _other_host(migration):
        destroy.cleanup(services, instance, network_info, True, True)


def finish_revert_migration(
        services: base.Services, context: typing.Any, instance: typing.Any,
        network_info: typing.Any, migration: typing.Any,
        block_device_info: typing.Any, power_on: bool,
        share_info: typing.Any) -> None:
    """Let an instance have again what it has left.

    Nova-compute may have died at any time since it began to leave it.

    Source: nova.virt.driver.ComputeDriver.finish_revert_migration.
    """
    host = _other_host(migration)
    other = control.Client(context, host) if host else None
    paths: dict[str, str] = {}
    if other and (block_device_info or {}).get('block_device_mapping'):
        paths = other.mount_paths(instance.uuid)
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        rebuild.settle(services, instance)
        left.put_volumes(services, instance.uuid, paths)
        _bring_back(services, context, turn, instance, network_info,
                    block_device_info, power_on, share_info)
    # Not before: until then it can run there again.
    if other:
        other.discard(instance.uuid)


def delete_instance_files(services: base.Services,
                          instance: typing.Any) -> bool:
    """Remove what an instance has left that was deleted since.

    Source: nova.virt.driver.ComputeDriver.delete_instance_files.
    """
    with services.gate.turn(instance.uuid, refuse=True):
        left.remove(services, instance.uuid)
    destroy.cleanup(services, instance, instance.get_network_info(), True,
                    True)
    return True


def _other_host(migration: typing.Any) -> str | None:
    """The host that has an instance's files; None where there is none.

    One in another cell has an image of it.
    """
    return (None if migration.source_compute == migration.dest_compute or
            migration.cross_cell_move
            else typing.cast(str, migration.dest_compute))


@contextlib.contextmanager
def _begun(services: base.Services, context: typing.Any,
           instance: typing.Any, container: client.Json, here: bool
           ) -> collections.abc.Iterator[outgoing.Transfer | None]:
    """Begin to send the files of a container, as long as it runs.

    :returns: None of one that stays, or has all of them on a volume
    :raises nova.exception.MigrationError: says why it can't
    """
    if here or records.root(services.options.state_dir, instance.uuid):
        yield None
        return
    disks.mount_left(services, container)
    with outgoing.begun(
            context, _destination(context, instance), instance.uuid,
            left.parts(services, instance.uuid, container),
            services.options.transfers,
            container['State'] in base.RUNNING) as transfer:
        left.note_base(transfer, container)
        yield transfer


def _destination(context: typing.Any, instance: typing.Any) -> str:
    """The host that an instance goes to; Nova tells its address only."""
    return typing.cast(str, base.migration(context, instance).dest_compute)


@contextlib.contextmanager
def _refusing() -> collections.abc.Iterator[None]:
    """Whatever fails, Nova is to leave the instance as it was."""
    try:
        yield
    except exception.InstanceNotFound:
        raise
    except Exception as error:
        LOG.exception('An instance can not be resized')
        inner = (error if isinstance(error, exception.NovaException)
                 else exception.ResizeError(reason=str(error)))
        raise exception.InstanceFaultRollback(
            inner_exception=inner) from error


def _refuse(services: base.Services, context: typing.Any,
            instance: typing.Any, container: client.Json, flavor: typing.Any,
            block_device_info: typing.Any, here: bool) -> None:
    """Refuse what can't be done, before anything is touched.

    :raises nova.exception.NovaException: says why
    """
    resized = instance.obj_clone()
    resized.flavor = flavor
    resized.apply_migration_context()
    reasons = list(_reasons(services, instance, container, resized,
                            block_device_info))
    if here and not reasons:
        reasons += flavors.refusals(services, flavor.extra_specs,
                                    bool(pages.of(resized)))
    if reasons:
        raise exception.ResizeError(reason='; '.join(reasons))
    # As long as the old container runs.
    on_volume = volumes.has_root(block_device_info)
    if not here:
        host = _destination(context, instance)
        portable.check_host(services, context, host, resized)
        if not on_volume:
            carried.give(services, context, host, instance.uuid, container,
                         flavor.root_gb)
    elif not on_volume:
        create.ensure_base(services, context, instance, container['Image'],
                           flavor.root_gb)


def _reasons(services: base.Services, instance: typing.Any,
             container: client.Json, resized: typing.Any,
             block_device_info: typing.Any) -> collections.abc.Iterator[str]:
    """Why an instance can't be moved or resized."""
    yield from requests.of_flavor(resized.flavor.extra_specs)
    try:
        flavors.check(services, resized, create.of_instance(instance),
                      block_device_info)
    except exception.BuildAbortException as error:
        yield error.kwargs['reason']
    taken = sum(disk.ephemeral_sizes(instance.flavor.ephemeral_gb,
                                     block_device_info))
    if taken > resized.flavor.ephemeral_gb:
        yield _('its ephemeral disks have %(taken)d GiB, and the flavor has '
                '%(size)d GiB') % {
                    'taken': taken, 'size': resized.flavor.ephemeral_gb}
    if volumes.has_root(block_device_info):
        if taken:
            yield _('it boots from a volume, and has ephemeral disks, which '
                    'would be lost')
        return
    if not rootfs.supported(services.engine.info()):
        yield _('files can not be moved with the storage driver of the engine '
                'of this host')
    elif _shrinks(instance.flavor.root_gb, resized.flavor.root_gb):
        used = disks.used(services, container)
        if used > resized.flavor.root_gb * units.Gi * _FILLED:
            yield _('its files take %(used).1f GiB, and the root disk of the '
                    'flavor has %(size)d GiB') % {
                        'used': used / units.Gi,
                        'size': resized.flavor.root_gb}


def _shrinks(old_gb: int, new_gb: int) -> bool:
    """Whether a root disk may hold less than before; 0 is without limit."""
    return bool(new_gb) and not 0 < old_gb <= new_gb


def _depart(services: base.Services, instance: typing.Any,
            container: client.Json) -> None:
    """Have a container that is stopped be the one that was left."""
    known = records.read(services.options.state_dir, instance.uuid)
    on_volume = any(volume.root for volume in known)
    left.leave(services, instance, None if on_volume else container)
    if on_volume:
        # All that is in it is on the volume.
        disks.remove(services, container)
    for volume in known:
        connections.disconnect(services, instance.uuid, volume)


def _bring_back(services: base.Services, context: typing.Any,
                turn: typing.Any, instance: typing.Any,
                network_info: typing.Any, block_device_info: typing.Any,
                power_on: bool, share_info: typing.Any = None) -> None:
    """Let an instance have again what it has left, or was about to leave."""
    left.restore(services, instance.uuid)
    container = base.find(services, instance.uuid)
    if not (container or volumes.has_root(block_device_info)):
        raise exception.InstanceNotFound(instance_id=instance.uuid)
    if not (container and container['State'] in base.RUNNING):
        connections.connect_all(services, context, instance,
                                block_device_info)
        container_id = container['Id'] if container else create.create(
            services, context, instance,
            boot.named(instance.image_meta, block_device_info), network_info,
            block_device_info=block_device_info,
            files=create.Files(_on_its_volume))
        _start(services, context, turn, instance, network_info, container_id,
               block_device_info, power_on, share_info)
    left.remove(services, instance.uuid)


def _bring_back_quietly(*arguments: typing.Any) -> None:
    """Undo a resize that fails; why it fails is what the user must see."""
    try:
        _bring_back(*arguments)
    except Exception:
        LOG.exception('A server is not as it was before its resize; a hard '
                      'reboot starts it')


def _on_its_volume(_made: client.Json) -> None:
    """Give a container no files: those on its root volume are whole."""


def _start(services: base.Services, context: typing.Any, turn: typing.Any,
           instance: typing.Any, network_info: typing.Any, container_id: str,
           block_device_info: typing.Any, power_on: bool,
           share_info: typing.Any) -> None:
    """Start a container, or have it ready for its start."""
    if power_on:
        shares.settle(services, context, instance, network_info, share_info)
        start.plug_and_start(services, context, turn, instance, network_info,
                             container_id, block_device_info)
    else:
        start.specify(services, instance)


def _undo(services: base.Services, instance: typing.Any,
          network_info: typing.Any) -> None:
    """Give an instance back what it has left, stopped.

    Never raises: the error that led here is what the user must see.
    """
    try:
        for container in base.of_instance(services, instance.uuid):
            disks.remove(services, container)
        left.restore(services, instance.uuid)
        start.unplug(services, instance, network_info)
    except Exception:
        LOG.exception('A failed resize was not undone; a hard reboot does it',
                      instance=instance)

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

"""Live migration, on the host that an instance goes to.

It has a container there, which was never started, until the other host asks
for more. As long as Nova has the instance on that one it may be called back:
then nothing of it is left here.
"""

import os
import typing

from nova import context as nova_context
from nova import exception
from nova.i18n import _
from nova.network import model
from nova import objects
from oslo_log import log as logging

from nova_docker.engine import errors
from nova_docker.host import checkpoints
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import left
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import start
from nova_docker.lifecycle import suspend
from nova_docker.lifecycle import suspended
from nova_docker.network import plugs
from nova_docker.privsep import archive
from nova_docker.privsep import criu
from nova_docker.transfer import control
from nova_docker.transfer import spool
from nova_docker.volume import layer

LOG = logging.getLogger(__name__)


def pre_live_migration(services: base.Services, context: typing.Any,
                       instance: typing.Any, block_device_info: typing.Any,
                       network_info: typing.Any,
                       migrate_data: typing.Any) -> typing.Any:
    """Make the container of an instance that will come, and plug its ports.

    Source: nova.virt.driver.ComputeDriver.pre_live_migration.

    :raises nova.exception.NovaException: says why not; Nova has it undone
    """
    # Of one that came to nothing.
    destroy.destroy(services, instance, None)
    base_image = control.Client(context, instance.host).send_image(
        instance.uuid, services.host)
    vifs = model.NetworkInfo([
        vif.get_dest_vif() for vif in migrate_data.vifs]
        if 'vifs' in migrate_data else network_info)
    for vif in vifs:
        # Nova waits for them before it goes on.
        vif['active'] = True
    with services.gate.turn(instance.uuid, refuse=True):
        migrating.write(services, instance.uuid, migrating.Live(
            instance.host, services.host))
        create.create(services, context, instance, instance.image_meta, vifs,
                      block_device_info=block_device_info,
                      files=create.Files(_nothing_yet, base_image))
        plugs.plug(services.options.state_dir, instance, vifs)
    archive.ready()
    return migrate_data


def prepare(services: base.Services, instance_uuid: str) -> None:
    """Unpack the files that have come of an instance that is still elsewhere.

    What changes them comes later: see :func:`restore`.

    :raises nova.exception.NovaException: says why it can't be
    :raises nova_docker.engine.errors.EngineError: the engine fails
    """
    with services.gate.turn(instance_uuid, refuse=True):
        directories = left.parts(services, instance_uuid,
                                 _expected(services, instance_uuid))
        arrived = spool.arrived(services.options.state_dir, instance_uuid)
        # There may be its image, too.
        for name in arrived.keys() & directories.keys():
            layer.unpack(arrived[name], directories[name])
            # Else it would be unpacked again, and takes space.
            os.unlink(arrived[name])


def restore(services: base.Services, instance_uuid: str) -> None:
    """Let an instance go on here, whose files and checkpoint have come.

    :raises nova.exception.NovaException: says why it does not. It may be
        called back then, and must be.
    :raises nova_docker.engine.errors.EngineError: the engine fails
    """
    context = nova_context.get_admin_context()
    with services.gate.turn(instance_uuid, refuse=True) as turn:
        container = _expected(services, instance_uuid)
        instance = objects.Instance.get_by_uuid(
            context, instance_uuid, expected_attrs=suspend.ATTRIBUTES)
        left.unpack(services, instance_uuid, container, {
            checkpoints.PART: lambda file: criu.put(
                file, checkpoints.directory(
                    services.engine.info(), container['Id'],
                    suspended.CHECKPOINT), os.getpid())})
        start.plug_and_start(
            services, context, turn, instance, model.NetworkInfo(
                plugs.kept(services.options.state_dir, instance_uuid)),
            container['Id'], None, suspended.CHECKPOINT)
        spool.discard(services.options.state_dir, instance_uuid)
    try:
        services.engine.remove_checkpoint(container['Id'],
                                          suspended.CHECKPOINT)
    except errors.EngineError:
        LOG.exception('A checkpoint is left until its container is removed',
                      instance=instance)


def _expected(services: base.Services, instance_uuid: str) -> typing.Any:
    """The container of an instance that comes.

    :raises nova.exception.MigrationError: there is none
    """
    container = base.get(services, instance_uuid)
    if (container['State'] != 'created' or
            not migrating.read(services, instance_uuid)):
        raise exception.MigrationError(reason=_(
            'nothing of it is expected on host %s') % services.host)
    return container


def withdraw(services: base.Services, instance_uuid: str) -> None:
    """Remove an instance that is to go on on the host that it came from.

    :raises nova.exception.MigrationError: it is of this host by now
    """
    if migrating.read(services, instance_uuid):
        _remove(services, instance_uuid)
    elif base.find(services, instance_uuid):
        raise exception.MigrationError(reason=_(
            'host %s has the server for good') % services.host)


def post_live_migration_at_destination(services: base.Services,
                                       instance: typing.Any) -> None:
    """From now on an instance is of this host.

    The host that it comes from has its files still. They were not waited for
    until they are on the disk of this one, as nobody had the instance then.

    Source: nova.virt.driver.ComputeDriver.post_live_migration_at_destination.
    """
    try:
        left.sync(services, instance.uuid,
                  base.get(services, instance.uuid))
    except (errors.EngineError, exception.NovaException):
        LOG.exception('Its files may not be on the disk', instance=instance)
    migrating.drop(services, instance.uuid)


def rollback_live_migration_at_destination(
        services: base.Services, instance: typing.Any,
        network_info: typing.Any) -> None:
    """Remove an instance that does not come (idempotent).

    Source:
    nova.virt.driver.ComputeDriver.rollback_live_migration_at_destination.
    """
    if instance.host != services.host:
        destroy.destroy(services, instance, network_info)


def remove_over(services: base.Services) -> None:
    """End what has come to nothing, or to its end, without this host's help.

    Never raises.
    """
    for uuid in migrating.instances(services):
        live = migrating.read(services, uuid)
        try:
            if live and live.target == services.host:
                _end(services, uuid)
        except Exception:
            LOG.exception('What a live migration of instance %s has left '
                          'stays', uuid)


def _end(services: base.Services, instance_uuid: str) -> None:
    """End a live migration, unless Nova is not done with it.

    Or has begun to have the instance here in another way, as by an evacuation.
    """
    try:
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), instance_uuid)
    except exception.InstanceNotFound:
        _remove(services, instance_uuid)
        return
    if instance.host == services.host:
        migrating.drop(services, instance_uuid)
    elif instance.task_state is None:
        _remove(services, instance_uuid)


def _remove(services: base.Services, instance_uuid: str) -> None:
    # os-vif wants a name only.
    destroy.destroy(services, objects.Instance(
        id=0, uuid=instance_uuid, host=None, task_state=None), None)


def _nothing_yet(_made: typing.Any) -> None:
    """Give a container no files: all of them will come."""

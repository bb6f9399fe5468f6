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

"""Live migration, on the host that an instance leaves.

Its processes are written to a checkpoint, which another host gets with the
files, and go on there. Until they do they can go on here: the checkpoint and
the container stay until Nova has the instance on the other host.
"""

import dataclasses
import time
import typing

from nova import context as nova_context
from nova import exception
from nova.i18n import _
from nova import objects
from oslo_log import log as logging
from oslo_utils import excutils
import tenacity

from nova_docker.host import checkpoints
from nova_docker.lifecycle import base
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import left
from nova_docker.lifecycle import live_checks
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import portable
from nova_docker.lifecycle import start
from nova_docker.lifecycle import suspend
from nova_docker.lifecycle import suspended
from nova_docker.transfer import control
from nova_docker.transfer import outgoing

LOG = logging.getLogger(__name__)

#: How often, and with how many seconds in between, a host is asked that must
#: answer. Each time takes [DEFAULT]rpc_response_timeout where it does not.
_ATTEMPTS = 5
_PAUSE = 10


def live_migration(services: base.Services, context: typing.Any,
                   instance: typing.Any, dest: str, post_method: typing.Any,
                   recover_method: typing.Any, block_migration: typing.Any,
                   migrate_data: typing.Any) -> None:
    """Have an instance go on on another host, or else on this one.

    Source: nova.virt.driver.ComputeDriver.live_migration.

    :raises Exception: it goes on on neither: the other host does not say
        whether it does there, or what was written down can't be restored
    """
    task = services.leaving[instance.uuid] = base.Leaving(dest)
    try:
        moved = _move(services, context, instance, dest, task)
    finally:
        del services.leaving[instance.uuid]
    if not moved:
        recover_method(
            context, instance, dest, migrate_data=migrate_data,
            migration_status='cancelled' if task.aborted else 'failed')
        return
    try:
        post_method(context, instance, dest, block_migration, migrate_data)
    finally:
        # Now that nothing leads back here.
        _forget_quietly(services, instance.uuid)


def live_migration_abort(services: base.Services,
                         instance: typing.Any) -> None:
    """Let an instance go on where it is, unless it is too late.

    Source: nova.virt.driver.ComputeDriver.live_migration_abort.

    :raises nova.exception.MigrationError: it is
    """
    task = services.leaving.get(instance.uuid)
    if task is None:
        # As for one that was cut off: see heal.
        return
    with task.lock:
        if task.final:
            raise exception.MigrationError(reason=_(
                'the server is being restored on host %s') % task.target)
        task.aborted = True
    # What is being sent ends so.
    control.Client(nova_context.get_admin_context(),
                   task.target).discard(instance.uuid)


def post_live_migration_at_source(services: base.Services,
                                  instance: typing.Any,
                                  network_info: typing.Any) -> None:
    """Unplug the ports of an instance that goes on elsewhere.

    Source: nova.virt.driver.ComputeDriver.post_live_migration_at_source.
    """
    with services.gate.turn(instance.uuid, refuse=True):
        start.unplug(services, instance, network_info)


def heal(services: base.Services) -> None:
    """End what was cut off with a nova-compute of this host.

    An instance that Nova has on another host by now is removed from this one.
    Another one goes on here, from its checkpoint, once that other host has it
    no more. Never raises.
    """
    for uuid in migrating.instances(services):
        live = migrating.read(services, uuid)
        if live is None or live.source != services.host:
            continue
        try:
            _forget(services, uuid)
            if migrating.read(services, uuid):
                instance = objects.Instance.get_by_uuid(
                    nova_context.get_admin_context(), uuid,
                    expected_attrs=suspend.ATTRIBUTES)
                LOG.warning('Its live migration was cut off, and it goes on '
                            'here', instance=instance)
                with services.gate.turn(uuid, refuse=True) as turn:
                    _go_on(services, nova_context.get_admin_context(), turn,
                           instance)
        except Exception:
            LOG.exception('Instance %s is left as its live migration was cut '
                          'off; a hard reboot starts it', uuid)


def remove_over(services: base.Services) -> None:
    """Remove what is left here of instances that go on elsewhere.

    Never raises.
    """
    for uuid in migrating.instances(services):
        live = migrating.read(services, uuid)
        if live and live.source == services.host:
            _forget_quietly(services, uuid)


def _move(services: base.Services, context: typing.Any, instance: typing.Any,
          dest: str, task: base.Leaving) -> bool:
    """Have it go on on another host.

    :returns: whether it does; else it goes on here
    """
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        try:
            _send(services, context, instance, dest, task)
        except Exception as error:
            LOG.exception('It is not migrated', instance=instance)
            with excutils.save_and_reraise_exception(reraise=False):
                _settle(services, instance.uuid)
                _go_on(services, context, turn, instance)
            LOG.info('It goes on here, as it was: %s', error,
                     instance=instance)
            return False
    return True


def _send(services: base.Services, context: typing.Any, instance: typing.Any,
          dest: str, task: base.Leaving) -> None:
    """Write an instance down, and have another host restore it."""
    container = base.get(services, instance.uuid)
    found = list(live_checks.reasons(services, instance, container))
    if found:
        raise exception.MigrationError(reason='; '.join(found))
    suspended.end(services, instance.uuid)
    live = migrating.Live(services.host, dest)
    with outgoing.begun(context, dest, instance.uuid,
                        left.parts(services, instance.uuid, container),
                        services.options.transfers, True) as transfer:
        if transfer.ahead:
            control.Client(context, dest).prepare(instance.uuid)
        task.check()
        migrating.write(services, instance.uuid, live)
        suspended.begin(services, instance.uuid, suspended.CHECKPOINT)
        began = time.monotonic()
        suspend.checkpoint(services, instance, container)
        start.set_down(services.options.state_dir, instance.uuid)
        disks.mount_left(services, container)
        portable.check_files(services, context, dest, container)
        sent = transfer.finish(
            left.parts(services, instance.uuid, container) | {
                checkpoints.PART: checkpoints.directory(
                    services.engine.info(), container['Id'],
                    suspended.CHECKPOINT)})
        task.finish()
    migrating.write(services, instance.uuid,
                    dataclasses.replace(live, asked=True))
    control.Client(context, dest).restore(instance.uuid)
    LOG.info('It goes on on host %(host)s, after %(seconds).3f seconds, in '
             'which %(size)d bytes were sent', {
                 'host': dest, 'seconds': time.monotonic() - began,
                 'size': sent.wire}, instance=instance)


def _settle(services: base.Services, instance_uuid: str) -> None:
    """As :func:`migrating.settle`, as long as it takes.

    Nobody has the instance meanwhile, and it must not be two that do.
    """
    tenacity.retry(
        retry=tenacity.retry_if_exception_type(exception.MigrationError),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_fixed(_PAUSE), reraise=True)(
            migrating.settle)(services, instance_uuid)


def _go_on(services: base.Services, context: typing.Any, turn: typing.Any,
           instance: typing.Any) -> None:
    """Let an instance go on here, from its checkpoint, if it has one.

    It may have ended by itself; then it stays so.
    """
    container = base.get(services, instance.uuid)
    if (container['State'] not in base.RUNNING and
            suspended.noted(services, instance.uuid)):
        checkpoint = suspended.checkpoint(services, instance.uuid, container)
        if checkpoint is None:
            raise exception.MigrationError(reason=_(
                'the checkpoint of the server is gone'))
        start.plug_and_start(
            services, context, turn, instance, instance.get_network_info(),
            container['Id'], None, checkpoint)
    migrating.settle(services, instance.uuid)
    suspended.end(services, instance.uuid)


def _forget_quietly(services: base.Services, instance_uuid: str) -> None:
    """As :func:`_forget`. That it fails is no fault of the instance.

    Nova would take it for one, and it runs well on the other host.
    """
    try:
        _forget(services, instance_uuid)
    except Exception:
        LOG.exception('What instance %s has left here is removed later',
                      instance_uuid)


def _forget(services: base.Services, instance_uuid: str) -> None:
    """Remove an instance that Nova has on another host by now."""
    try:
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), instance_uuid,
            expected_attrs=suspend.ATTRIBUTES)
    except exception.InstanceNotFound:
        # It was deleted there.
        instance = objects.Instance(
            id=0, uuid=instance_uuid, host=None, task_state=None)
    if instance.host != services.host:
        destroy.destroy(services, instance, None)

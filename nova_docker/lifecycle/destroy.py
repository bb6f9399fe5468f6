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

"""destroy and cleanup: repeatable from any half state."""

import functools
import typing

from nova.compute import task_states
from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_docker.cdi import store
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import frozen
from nova_docker.lifecycle import left
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import snapshot
from nova_docker.lifecycle import start
from nova_docker.lifecycle import unconfirmed
from nova_docker.network import plans
from nova_docker.spec import volumes
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)


def destroy(services: base.Services, instance: typing.Any,
            network_info: typing.Any, destroy_disks: bool = True) -> None:
    """Remove the instance from this host; what is gone already is fine.

    One that goes back to where it came from leaves its container here, as
    that host may not live to have it again: see :func:`discard`.

    Source: nova.virt.driver.ComputeDriver.destroy.

    :param destroy_disks: else its container is the one that it has left, as
        in a resize: so Nova moves it to another cell
    :raises nova.exception.InstancePowerOffFailure: the container could not
        be removed; its ports are left plugged and Nova keeps their addresses
    """
    snapshot.cancel(services, instance.uuid)
    with services.gate.turn(instance.uuid, refuse=True):
        if instance.host not in (services.host, None):
            frozen.shut_down(services, instance.uuid)
        frozen.thaw(services, instance.uuid)
        reverting = instance.task_state == task_states.RESIZE_REVERTING
        state_dir = services.options.state_dir
        try:
            if not destroy_disks or (
                    reverting and not unconfirmed.read(
                        state_dir, instance.uuid) and _goes_back(instance)):
                _leave(services, instance)
            # What was left here comes back, or goes with a discard.
            kept = reverting and unconfirmed.read(state_dir, instance.uuid)
            if kept:
                left.put_volumes(services, instance.uuid, volumes.mount_paths(
                    records.read(state_dir, instance.uuid)))
            _remove_containers(services, instance.uuid)
            if destroy_disks and not kept:
                left.remove(services, instance.uuid)
        except errors.EngineError as error:
            raise exception.InstancePowerOffFailure(
                reason=str(error)) from error
        _host_side(services, instance, network_info, keep=bool(kept))
        services.undone.pop(instance.uuid, None)
        services.frozen.discard(instance.uuid)


def cleanup(services: base.Services, instance: typing.Any,
            network_info: typing.Any, destroy_disks: bool,
            destroy_vifs: bool) -> None:
    """Remove the host side after the container is gone, or was left.

    Source: nova.virt.driver.ComputeDriver.cleanup.
    """
    with services.gate.turn(instance.uuid, refuse=True):
        if destroy_disks:
            _remove_left(services, instance)
        _host_side(services, instance, network_info, destroy_vifs)


def remove_over(services: base.Services) -> None:
    """Remove what instances have left that have come elsewhere, or are gone.

    Nova has it confirmed or reverted, unless a nova-compute died meanwhile:
    then nobody asks for it any more once the instance is well, on its host.
    Never raises.
    """
    state_dir = services.options.state_dir
    for uuid in (unconfirmed.instances(state_dir) |
                 set(spool.unknown(state_dir, ()))):
        try:
            if _is_over(services, uuid):
                LOG.info('Removing what a move of instance %s has left', uuid)
                _remove_over(services, uuid)
        except Exception:
            LOG.exception('What a move of instance %s has left stays', uuid)


def discard(services: base.Services, instance_uuid: str) -> None:
    """Remove what an instance has left that runs on another host again."""
    if unconfirmed.read(services.options.state_dir, instance_uuid):
        _remove_over(services, instance_uuid)


def _remove_over(services: base.Services, instance_uuid: str) -> None:
    with services.gate.turn(instance_uuid, refuse=True):
        left.remove(services, instance_uuid)
        if base.find(services, instance_uuid) is None:
            # Nova is not asked for it; os-vif wants a name only.
            _host_side(services, objects.Instance(id=0, uuid=instance_uuid),
                       None)


def _is_over(services: base.Services, instance_uuid: str) -> bool:
    """Whether nobody can confirm or revert a move of an instance here."""
    try:
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), instance_uuid)
    except exception.InstanceNotFound:
        return True
    return (instance.host != services.host and instance.task_state is None and
            instance.vm_state not in (vm_states.RESIZED, vm_states.ERROR))


def undo_spawn(services: base.Services, instance: typing.Any,
               network_info: typing.Any) -> None:
    """Remove what a spawn has made, in its turn.

    Never raises: the error that led here is what the user must see. What
    cannot be removed now is when the engine is back (:func:`undo_again`).
    """
    services.undone.pop(instance.uuid, None)
    for step, arguments in ((_remove_containers, (instance.uuid,)),
                            (_host_side, (instance, network_info))):
        try:
            step(services, *arguments)
        except Exception:
            LOG.exception('A failed spawn was not undone', instance=instance)
            services.undone[instance.uuid] = functools.partial(
                undo_spawn, services, instance, network_info)


def undo_again(services: base.Services) -> None:
    """Undo what could not be undone, as the engine was away.

    Nova forgets such a server when its user deletes it: it has no host.
    """
    for instance_uuid in list(services.undone):
        with services.gate.turn(instance_uuid, refuse=True):
            undo_left(services, instance_uuid)


def undo_left(services: base.Services, instance_uuid: str) -> None:
    """Undo what is left to undo of an instance, in its turn.

    Another spawn or a destroy may have been faster.
    """
    if undo := services.undone.get(instance_uuid):
        undo()


def _goes_back(instance: typing.Any) -> bool:
    """Whether the move that Nova reverts was from another host.

    One from another cell has an image of the instance here.
    """
    migration = base.migration(nova_context.get_admin_context(), instance)
    return not migration.cross_cell_move and (
        migration.source_compute != migration.dest_compute)


def _leave(services: base.Services, instance: typing.Any) -> None:
    """Have the instance's container, stopped, be the one that it has left.

    Of one that boots from a volume nothing is kept: all is on that.
    """
    container = base.find(services, instance.uuid)
    if container:
        services.engine.stop_container(container['Id'], 0)
        left.leave(services, instance, None if records.root(
            services.options.state_dir, instance.uuid) else container)


def _remove_left(services: base.Services, instance: typing.Any) -> None:
    """Remove what the instance has left, unless it is to have it again."""
    if instance.task_state != task_states.RESIZE_REVERTING:
        left.remove(services, instance.uuid)


def _remove_containers(services: base.Services, instance_uuid: str) -> None:
    """Remove the instance's containers, running or not, if there."""
    if records.root(services.options.state_dir, instance_uuid):
        boot.remove_source(services, instance_uuid)
    for container in base.of_instance(services, instance_uuid):
        disks.remove(services, container)


def _host_side(services: base.Services, instance: typing.Any,
               network_info: typing.Any, destroy_vifs: bool = True,
               keep: bool = False) -> None:
    """Remove what the host has for an instance beside its container.

    :param keep: whether its config drive and its console stay
    """
    connections.disconnect_all(services, instance.uuid)
    shares.unmount_all(services, instance.uuid)
    if destroy_vifs:
        start.unplug(services, instance, network_info)
        if not keep:
            services.consoles.close(instance.uuid)
            plans.remove(services.options.state_dir, instance.uuid)
    disks.remove_left(services, instance.uuid)
    store.remove(services.options.cdi_spec_dir, instance.uuid)

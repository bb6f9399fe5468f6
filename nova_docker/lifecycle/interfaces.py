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

"""Ports that come, go and change while an instance has its container."""

import collections.abc
import contextlib
import errno
import typing

from nova.compute import utils as compute_utils
from nova.compute import vm_states
from nova import exception
from nova.i18n import _
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.lifecycle import start
from nova_docker.metadata import devices
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.network import plugs
from nova_docker.network import vif
from nova_docker.spec import ports
from nova_docker.spec import requests

LOG = logging.getLogger(__name__)


def attach_interface(services: base.Services, context: typing.Any,
                     instance: typing.Any, attached: typing.Any) -> None:
    """Give an instance one port more.

    One that runs or is paused has it at once; one that is stopped has it at
    its next start. What fails leaves nothing: Nova gives the port back.

    Neutron's word that the port is wired is not waited for. A worker of
    nova-api waits as long as this does, and Neutron brings its word to one:
    as many attaches at once as there are workers would all time out.

    Source: nova.virt.driver.ComputeDriver.attach_interface.

    :param attached: nova.network.model.VIF
    :raises nova.exception.NovaException: the port cannot be attached
    """
    state_dir = services.options.state_dir
    with (_told_to_nova(exception.InterfaceAttachFailed, instance),
          services.gate.turn(instance.uuid)):
        _refuse(attached, instance)
        kept = plans.read(state_dir, instance.uuid)
        network_info = _with(context, instance, attached, kept)
        device_metadata = devices.build(context, instance, network_info)
        plan = _with_forgotten(start.make_plan(
            services, instance, network_info, context), kept)
        with contextlib.ExitStack() as undo:
            if start.running(services, instance.uuid):
                undo.callback(_take_out_quietly, state_dir, instance, attached,
                              plan)
                parked = plugs.plug(state_dir, instance, [attached],
                                    running=True)
                _set_up(state_dir, instance, plan, parked)
                _silence_paused(instance, plan)
            else:
                vif.check(attached)
            plans.write(state_dir, instance.uuid, plan)
            undo.pop_all()
    instance.device_metadata = device_metadata


def detach_interface(services: base.Services, context: typing.Any,
                     instance: typing.Any, detached: typing.Any) -> None:
    """Take a port from an instance, whether it runs or not (idempotent).

    The engine is not asked, nor need there be a container.

    Source: nova.virt.driver.ComputeDriver.detach_interface.

    :param detached: nova.network.model.VIF
    :raises nova.exception.NovaException: the port is attached, or plugged,
        as before; Nova lets it be detached again
    """
    state_dir = services.options.state_dir
    with (_told_to_nova(exception.InterfaceDetachFailed, instance),
          services.gate.turn(instance.uuid)):
        plan = plans.read(state_dir, instance.uuid)
        _take_out(state_dir, instance, detached, plan or [])
        if plan is not None:
            plans.write(state_dir, instance.uuid, [
                port for port in plan if port.id != detached['id']])
        instance.device_metadata = devices.build(
            context, instance,
            _without(instance.get_network_info(), detached))


def plug_vifs(services: base.Services, instance: typing.Any,
              network_info: typing.Any) -> None:
    """Assert the ports of a running instance, as nova-compute starts.

    What was lost of them is made again, and what changed in Neutron is
    changed in the container. Those of a stopped instance are plugged at its
    next start: there is no namespace that they could go to.

    Source: nova.virt.driver.ComputeDriver.plug_vifs.

    :raises nova.exception.VirtualInterfacePlugException: a port can't be
        plugged
    """
    state_dir = services.options.state_dir
    with services.gate.turn(instance.uuid):
        if not start.running(services, instance.uuid):
            # Nobody did, if it ended while there was no nova-compute.
            start.set_down(state_dir, instance.uuid)
            return
        parked = plugs.plug(state_dir, instance, network_info, running=True)
        # Neutron is not asked: nova-compute starts without it, too.
        plan = _with_forgotten(
            start.make_plan(services, instance, network_info),
            plans.read(state_dir, instance.uuid))
        try:
            _set_up(state_dir, instance, plan, parked)
        except OSError as error:
            # Not half set up, for then nobody would see that it is not.
            plugs.unplug(state_dir, instance, [
                each for each in network_info if each['id'] in parked])
            raise exception.VirtualInterfacePlugException(
                _('Cannot set up the ports of instance %(uuid)s: %(error)s')
                % {'uuid': instance.uuid, 'error': error}) from error
        _silence_paused(instance, plan)
        plans.write(state_dir, instance.uuid, plan)


def unplug_vifs(services: base.Services, instance: typing.Any,
                network_info: typing.Any) -> None:
    """Unplug the ports, for Nova to hand them to another host.

    Source: nova.virt.driver.ComputeDriver.unplug_vifs.

    :raises nova.exception.VirtualInterfaceUnplugException: a port can't be
        unplugged
    """
    with services.gate.turn(instance.uuid):
        try:
            start.unplug(services, instance, network_info)
        except exception.InternalError as error:
            raise exception.VirtualInterfaceUnplugException(
                reason=error.format_message()) from error


def _refuse(attached: typing.Any, instance: typing.Any) -> None:
    """Refuse what a port can't have, as a spawn does.

    :raises nova.exception.VirtualInterfacePlugException: says why
    """
    reasons = list(requests.of_ports([attached], instance))
    if reasons:
        raise exception.VirtualInterfacePlugException('; '.join(reasons))


def _with(context: typing.Any, instance: typing.Any, attached: typing.Any,
          plan: list[ports.Port] | None) -> list[typing.Any]:
    """The ports of an instance, and one more.

    Nova attaches and detaches several ports at once, and what it knows of the
    others is from before this turn. So the kept plan says which there are.
    """
    compute_utils.refresh_info_cache_for_instance(context, instance)
    others = _without(instance.get_network_info(), attached)
    if plan is not None:
        known = {port.id for port in plan}
        others = [each for each in others if each['id'] in known]
    return [*others, attached]


def _with_forgotten(plan: list[ports.Port], kept: list[ports.Port] | None
                    ) -> list[ports.Port]:
    """A plan, and the ports of the kept one that Nova has forgotten.

    A container that runs has them until its next start.
    """
    known = {port.id for port in plan}
    return [*plan, *(port for port in kept or () if port.id not in known)]


def _without(network_info: typing.Any, unwanted: typing.Any
             ) -> list[typing.Any]:
    return [each for each in network_info if each['id'] != unwanted['id']]


@contextlib.contextmanager
def _told_to_nova(failure: type[exception.NovaException],
                  instance: typing.Any) -> collections.abc.Iterator[None]:
    """Whatever fails in the body, fail with an exception of Nova.

    After another one Nova would leave the port bound to the instance.
    """
    try:
        yield
    except exception.NovaException:
        raise
    except Exception as error:
        LOG.exception('A port is not attached or detached.',
                      instance=instance)
        raise failure(instance_uuid=instance.uuid) from error


def _take_out(state_dir: str, instance: typing.Any, unwanted: typing.Any,
              plan: list[ports.Port]) -> None:
    """Unplug a port, and remove what it has in a container that runs.

    :raises nova.exception.InternalError: it cannot be unplugged
    """
    path = plans.netns_path(state_dir, instance.uuid)
    leaving = [port for port in plan if port.id == unwanted['id']]
    netns.give_back(path, leaving)
    plugs.unplug(state_dir, instance, [unwanted])
    pid = netns.owner(path)
    for port in leaving:
        if pid is not None:
            # No matter when the container has just ended.
            with contextlib.suppress(FileNotFoundError):
                netns.forget(pid, port)
                netns.route(pid, [each for each in plan if each != port],
                            plan)


def _take_out_quietly(state_dir: str, instance: typing.Any,
                      unwanted: typing.Any, plan: list[ports.Port]) -> None:
    """Undo an attach, whose error is what Nova must see."""
    try:
        _take_out(state_dir, instance, unwanted, plan)
    except Exception:
        LOG.exception('Port %s may be left plugged.', unwanted['id'],
                      instance=instance)


def _silence_paused(instance: typing.Any, plan: list[ports.Port]) -> None:
    """Have ports that were plugged stay as silent as a pause made them."""
    if instance.vm_state == vm_states.PAUSED:
        vif.set_carrier(plan, False)


def _set_up(state_dir: str, instance: typing.Any, plan: list[ports.Port],
            parked: collections.abc.Set[str]) -> None:
    """Bring what changed of a plan into the container, which runs.

    :param parked: ids of ports that are not in there yet
    :raises OSError: the container has ended, or a setting is refused
    """
    kept = plans.read(state_dir, instance.uuid) or []
    changed = [port for port in plan
               if port.id in parked or port not in kept]
    if not changed:
        return
    # The engine would know it, too, but might not answer before this turn
    # ends.
    pid = netns.owner(plans.netns_path(state_dir, instance.uuid))
    if pid is None:
        raise ProcessLookupError(
            errno.ESRCH, 'the network namespace of the container is unknown')
    netns.configure(pid, changed, kept)
    netns.route(pid, plan, kept)

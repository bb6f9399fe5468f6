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

"""The start of a container with its network: for spawn, power on, reboot."""

import collections.abc
import contextlib
import typing

from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_log import log as logging
import tenacity

from nova_docker.cdi import store
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.network import gate
from nova_docker.network import metadata
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.network import vif
from nova_docker.network import wait
from nova_docker.spec import ports

LOG = logging.getLogger(__name__)

#: Starts that the engine itself fails after it was killed in the middle of
#: one: "file exists", then once "container with given ID already exists".
_ATTEMPTS = 3
#: Seconds that the engine may take beside the start hook.
_ENGINE_TIME = 60


@contextlib.contextmanager
def plugged(services: base.Services, context: typing.Any,
            instance: typing.Any, network_info: typing.Any
            ) -> collections.abc.Iterator[list[ports.Port]]:
    """Plug the host side of the ports; at exit, wait for Neutron's events.

    Neutron batches its events for up to two seconds: what the caller does
    meanwhile costs nothing. The pairs and the namespace of an earlier start
    are used again where they are whole; then no port flaps and there is
    nothing to wait for. The container must not run.

    :returns: what :func:`container` hands to the gate
    :raises nova.exception.VirtualInterfacePlugException: a port can't be
        plugged
    :raises nova.exception.VirtualInterfaceCreateException: an event did not
        come in time and ``vif_plugging_is_fatal``
    """
    plan = ports.plan(network_info, metadata.addresses(context, network_info))
    kept = netns.take_back(
        plans.netns_path(services.options.state_dir, instance.uuid), plan)
    with (contextlib.nullcontext() if kept else
          wait.vif_plugged(services.virtapi, instance, network_info)):
        vif.plug(instance, network_info)
        yield plan


def container(services: base.Services, turn: gate.Turn, instance: typing.Any,
              container_id: str, plan: list[ports.Port]) -> None:
    """Start a container whose host side is plugged.

    A start that failed before it reached the gate is tried again; one that
    the gate has seen is not, for then the gate or the command is at fault.

    :raises nova.exception.VirtualInterfacePlugException: the gate failed it
    :raises nova_docker.engine.errors.EngineError: the engine did
    """
    options = services.options
    store.write(options.cdi_spec_dir, instance.uuid, options.state_dir,
                options.start_hook_timeout)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, errors.ServerError) and
            not turn.taken),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_fixed(1), reraise=True)
    def attempt() -> None:
        turn.hand(plan)
        services.engine.start_container(
            container_id,
            timeout=options.start_hook_timeout + _ENGINE_TIME)

    try:
        attempt()
    except errors.EngineError:
        if turn.error:
            turn.check()
        raise
    turn.check()


def unplug(services: base.Services, instance: typing.Any,
           network_info: typing.Any) -> None:
    """Remove the host side of the ports and the kept namespace.

    :raises nova.exception.InternalError: a port cannot be unplugged
    """
    netns.release(
        plans.netns_path(services.options.state_dir, instance.uuid))
    vif.unplug(instance, network_info)


def unasked(state_dir: str, instance_uuid: str) -> list[ports.Port]:
    """The gate's question at a start that Nova did not ask for.

    The ports are taken back from the kept namespace, with no call to
    anybody; only where that is not whole are they plugged anew.

    :raises Exception: the start must fail
    """
    path = plans.netns_path(state_dir, instance_uuid)
    plan = plans.read(state_dir, instance_uuid)
    if plan is not None and netns.take_back(path, plan):
        return plan
    context = nova_context.get_admin_context()
    instance = objects.Instance.get_by_uuid(
        context, instance_uuid, expected_attrs=['info_cache', 'flavor'])
    network_info = instance.get_network_info()
    LOG.info('Plugging the ports again', instance=instance)
    vif.plug(instance, network_info)
    return ports.plan(network_info, metadata.addresses(context, network_info))


def plug_vifs(services: base.Services, instance: typing.Any,
              network_info: typing.Any) -> None:
    """Assert the ports of a running instance, as nova-compute starts.

    Those of a stopped one are plugged at its next start: there is no
    namespace that they could go to.

    Source: nova.virt.driver.ComputeDriver.plug_vifs.

    :raises nova.exception.VirtualInterfacePlugException: a port can't be
        plugged
    """
    with services.gate.turn(instance.uuid):
        found = base.find(services, instance.uuid)
        if found is not None and found['State'] in base.RUNNING:
            vif.plug(instance, network_info, running=True)


def unplug_vifs(services: base.Services, instance: typing.Any,
                network_info: typing.Any) -> None:
    """Unplug the ports, for Nova to hand them to another host.

    Source: nova.virt.driver.ComputeDriver.unplug_vifs.

    :raises nova.exception.VirtualInterfaceUnplugException: a port can't be
        unplugged
    """
    with services.gate.turn(instance.uuid):
        try:
            unplug(services, instance, network_info)
        except exception.InternalError as error:
            raise exception.VirtualInterfaceUnplugException(
                reason=error.format_message()) from error

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

"""power_on, power_off, reboot, pause and unpause."""

import contextlib
import typing

from nova import exception

from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import spawn
from nova_docker.lifecycle import start
from nova_docker.network import gate
from nova_docker.network import netns
from nova_docker.network import plans


def power_on(services: base.Services, context: typing.Any,
             instance: typing.Any, network_info: typing.Any) -> None:
    """Start the container; one that runs is left alone.

    Source: nova.virt.driver.ComputeDriver.power_on.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    with services.gate.turn(instance.uuid) as turn:
        container = base.get(services, instance.uuid)
        if container['State'] not in base.RUNNING:
            _start(services, context, turn, instance, network_info,
                   container['Id'])


def power_off(services: base.Services, instance: typing.Any,
              timeout: int) -> None:
    """Stop the container: its stop signal, then SIGKILL.

    A start that waits in the gate is given up. The ports stay plugged for
    the next start, with their links down.

    Source: nova.virt.driver.ComputeDriver.power_off.

    :param timeout: seconds between the two; 0 kills at once
    :raises nova.exception.InstanceNotFound: there is no container
    """
    with services.gate.turn(instance.uuid, refuse=True):
        container = base.get(services, instance.uuid)
        _stop(services, instance, container['Id'], timeout)
        netns.set_down(
            plans.netns_path(services.options.state_dir, instance.uuid))


def reboot(services: base.Services, context: typing.Any,
           instance: typing.Any, network_info: typing.Any, hard: bool,
           timeout: int) -> None:
    """Stop and start; a hard reboot makes again whatever is missing.

    Source: nova.virt.driver.ComputeDriver.reboot.

    :param timeout: seconds that a soft reboot waits for a clean stop
    :raises nova.exception.InstanceNotFound: a soft reboot of no container
    """
    # Or the stop would block behind a start that waits for this turn.
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        container = base.find(services, instance.uuid)
        if container is not None:
            container_id = container['Id']
            _stop(services, instance, container_id, 0 if hard else timeout)
        elif hard:
            container_id = spawn.create(services, context, instance,
                                        instance.image_meta, network_info)
        else:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        _start(services, context, turn, instance, network_info, container_id)


def pause(services: base.Services, instance: typing.Any) -> None:
    """Freeze the container's processes; frozen ones are left alone.

    Source: nova.virt.driver.ComputeDriver.pause.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.InstanceNotRunning: it does not run
    """
    with _frozen_state(services, instance, 'paused') as container_id:
        if container_id:
            services.engine.pause_container(container_id)


def unpause(services: base.Services, instance: typing.Any) -> None:
    """Thaw the container's processes; those that run are left alone.

    Source: nova.virt.driver.ComputeDriver.unpause.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.InstanceNotRunning: it does not run
    """
    with _frozen_state(services, instance, 'running') as container_id:
        if container_id:
            services.engine.unpause_container(container_id)


@contextlib.contextmanager
def _frozen_state(services: base.Services, instance: typing.Any,
                  wanted: str) -> typing.Iterator[str | None]:
    """The container to freeze or thaw; None when that is done already."""
    with services.gate.turn(instance.uuid):
        container = base.get(services, instance.uuid)
        if container['State'] not in base.RUNNING:
            # Not asked of the engine: it would wait for a start that waits
            # for this turn.
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        try:
            yield None if container['State'] == wanted else container['Id']
        except errors.Conflict as error:
            raise exception.InstanceNotRunning(
                instance_id=instance.uuid) from error


def _stop(services: base.Services, instance: typing.Any, container_id: str,
          timeout: int) -> None:
    try:
        services.engine.stop_container(container_id, timeout)
    except errors.NotFound as error:
        raise exception.InstanceNotFound(
            instance_id=instance.uuid) from error


def _start(services: base.Services, context: typing.Any, turn: gate.Turn,
           instance: typing.Any, network_info: typing.Any,
           container_id: str) -> None:
    """Plug and start; a failed start unplugs again, and removes nothing."""
    with contextlib.ExitStack() as undo:
        undo.callback(start.unplug, services, instance, network_info)
        with start.plugged(services, context, instance,
                           network_info) as plan:
            pass
        start.container(services, turn, instance, container_id, plan)
        undo.pop_all()

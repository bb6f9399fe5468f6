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

"""power_on, power_off, reboot, pause, unpause and trigger_crash_dump."""

import collections.abc
import typing

from nova import exception

from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import create
from nova_docker.lifecycle import frozen
from nova_docker.lifecycle import left
from nova_docker.lifecycle import rebuild
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import start
from nova_docker.lifecycle import suspended
from nova_docker.network import netns
from nova_docker.network import plans


def power_on(services: base.Services, context: typing.Any,
             instance: typing.Any, network_info: typing.Any,
             block_device_info: typing.Any,
             share_info: typing.Any) -> None:
    """Start the container; one that runs is left alone.

    Source: nova.virt.driver.ComputeDriver.power_on and
    resume_state_on_host_boot.

    :param share_info: as of :func:`shares.settle`
    :raises nova.exception.InstanceNotFound: there is no container
    """
    with services.gate.turn(instance.uuid) as turn:
        container = base.get(services, instance.uuid)
        # A moment after the gate let somebody else's start go, the engine
        # does not list it as running yet.
        if (container['State'] not in base.RUNNING and
                not netns.in_use(_netns_path(services, instance))):
            shares.settle(services, context, instance, network_info,
                          share_info)
            start.plug_and_start(services, context, turn, instance,
                                 network_info, container['Id'],
                                 block_device_info)


def power_off(services: base.Services, instance: typing.Any,
              timeout: int) -> None:
    """Stop the container: its stop signal, then SIGKILL.

    A start that waits in the gate is given up. The ports stay plugged for
    the next start, with their links down.

    Source: nova.virt.driver.ComputeDriver.power_off.

    :param timeout: seconds between the two; 0 kills at once
    :raises nova.exception.InstanceNotFound: there is no container
    """
    with (services.gate.turn(instance.uuid, refuse=True),
          base.existing(services, instance.uuid) as container):
        frozen.thaw(services, instance.uuid)
        services.engine.stop_container(
            container['Id'], base.stop_timeout(instance, timeout))
        suspended.end(services, instance.uuid)
        start.set_down(services.options.state_dir, instance.uuid)


def reboot(services: base.Services, context: typing.Any,
           instance: typing.Any, network_info: typing.Any, hard: bool,
           block_device_info: typing.Any, share_info: typing.Any,
           timeout: int, accel_info: typing.Any) -> None:
    """Stop and start; a hard reboot makes again whatever is missing.

    It also ends a rescue that failed and could not be undone, and a rebuild
    or a resize that was cut off: Nova does not reboot an instance that is
    rescued, nor one whose resize can be confirmed.

    Source: nova.virt.driver.ComputeDriver.reboot.

    :param share_info: as of :func:`shares.settle`
    :param timeout: seconds that a soft reboot waits for a clean stop
    :param accel_info: Cyborg's accelerator requests
    :raises nova.exception.InstanceNotFound: a soft reboot of no container
    """
    # Or the stop would block behind a start that waits for this turn.
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        frozen.thaw(services, instance.uuid)
        if hard:
            rebuild.settle(services, instance)
        if hard and base.find(services, instance.uuid) is None:
            connections.connect_all(services, context, instance,
                                    block_device_info)
            container_id = create.create(
                services, context, instance,
                boot.named(instance.image_meta, block_device_info),
                network_info, block_device_info=block_device_info,
                files=left.files(services, instance.uuid),
                accel_info=accel_info)
        else:
            with base.existing(services, instance.uuid) as container:
                container_id = container['Id']
                services.engine.stop_container(
                    container_id,
                    0 if hard else base.stop_timeout(instance, timeout))
        shares.settle(services, context, instance, network_info, share_info)
        start.plug_and_start(services, context, turn, instance, network_info,
                             container_id, block_device_info)
        if hard:
            left.end(services, instance)


def pause(services: base.Services, instance: typing.Any) -> None:
    """Freeze the container's processes; frozen ones are left alone.

    Its ports fall silent, as the kernel would go on to answer ping and to
    accept connections.

    Source: nova.virt.driver.ComputeDriver.pause.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.InstanceNotRunning: it does not run
    """
    # Whoever froze it before: now it is its user's will.
    services.frozen.discard(instance.uuid)
    frozen.thaw(services, instance.uuid)
    frozen.end(services, instance.uuid)
    freeze(services, instance)
    start.set_carrier(services.options.state_dir, instance.uuid, False)


def unpause(services: base.Services, instance: typing.Any) -> None:
    """Thaw the container's processes; those that run are left alone.

    Source: nova.virt.driver.ComputeDriver.unpause.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.InstanceNotRunning: it does not run
    """
    start.set_carrier(services.options.state_dir, instance.uuid, True)
    thaw(services, instance)


def trigger_crash_dump(services: base.Services,
                       instance: typing.Any) -> None:
    """Send SIGQUIT to the container's first process.

    What it does about it is its own affair: a Java machine prints its
    threads, a Go program its stacks and ends. A paused container would be
    thawed by it, without Nova's knowing, so it is refused.

    Source: nova.virt.driver.ComputeDriver.trigger_crash_dump.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.InstanceNotRunning: it does not run, or is paused
    """
    with base.existing(services, instance.uuid) as container:
        if container['State'] != 'running':
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        try:
            services.engine.kill_container(container['Id'], 'SIGQUIT')
        except errors.Conflict as error:
            raise exception.InstanceNotRunning(
                instance_id=instance.uuid) from error


def freeze(services: base.Services, instance: typing.Any) -> None:
    """Freeze the processes, unless they are; errors as of :func:`pause`."""
    _change(services, instance, 'paused', services.engine.pause_container)


def thaw(services: base.Services, instance: typing.Any) -> None:
    """Thaw the processes, unless they run; errors as of :func:`unpause`."""
    _change(services, instance, 'running', services.engine.unpause_container)


def _change(services: base.Services, instance: typing.Any, wanted: str,
            request: collections.abc.Callable[[str], None]) -> None:
    """Freeze or thaw, unless that is done already.

    A container that does not run is not asked to: if it starts just now, the
    request would block, and the start might wait for this turn.
    """
    with (services.gate.turn(instance.uuid),
          base.existing(services, instance.uuid) as container):
        if container['State'] not in base.RUNNING:
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        if container['State'] != wanted:
            try:
                request(container['Id'])
            except errors.Conflict as error:
                raise exception.InstanceNotRunning(
                    instance_id=instance.uuid) from error


def _netns_path(services: base.Services, instance: typing.Any) -> str:
    return plans.netns_path(services.options.state_dir, instance.uuid)

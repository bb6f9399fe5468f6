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

"""suspend and resume: an instance whose processes go on later.

What can not be suspended or resumed stays as it is, and Nova is told why: a
server that was active runs on, and one whose checkpoint can not be restored
has it still. A hard reboot gives it up.
"""

import collections.abc
import contextlib
import os
import typing

from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import strutils
import tenacity

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import start
from nova_docker.lifecycle import suspended
from nova_docker.network import plans
from nova_docker.network import sriov
from nova_docker.spec import system
from nova_docker.spec import volumes

LOG = logging.getLogger(__name__)

#: What Nova's verbs have of an instance, and what a start of one reads.
ATTRIBUTES = ['info_cache', 'flavor', 'system_metadata', 'metadata',
              'pci_requests', 'pci_devices']
#: Characters of a reason that fit into a fault with what Nova puts before it.
_REASON = 200


def suspend(services: base.Services, instance: typing.Any) -> None:
    """Write the processes to the engine's disk, or freeze them.

    Source: nova.virt.driver.ComputeDriver.suspend.

    :raises nova.exception.InstanceFaultRollback: says why not; it runs on
    """
    with (_kept(exception.InstanceSuspendFailure),
          services.gate.turn(instance.uuid, refuse=True),
          base.existing(services, instance.uuid) as container):
        found = list(reasons(services, instance, container))
        if found:
            raise exception.InstanceSuspendFailure(reason='; '.join(found))
        # What another one has left, which was cut off.
        suspended.end(services, instance.uuid)
        if services.options.suspend.checkpoint:
            suspended.begin(services, instance.uuid, suspended.CHECKPOINT)
            checkpoint(services, instance, container)
            start.set_down(services.options.state_dir, instance.uuid)
        else:
            suspended.begin(services, instance.uuid, None)
            _freeze(services, instance, container)
            start.set_carrier(services.options.state_dir, instance.uuid,
                              False)


def resume(services: base.Services, context: typing.Any,
           instance: typing.Any, network_info: typing.Any,
           block_device_info: typing.Any, share_info: typing.Any) -> None:
    """Let the processes of an instance go on.

    Those that were frozen are lost with their engine or host. Then it starts
    anew.

    Source: nova.virt.driver.ComputeDriver.resume.

    :param share_info: as of :func:`shares.settle`
    :raises nova.exception.InstanceFaultRollback: says why not; it is
        suspended as before
    """
    with (_kept(exception.InstanceResumeFailure),
          services.gate.turn(instance.uuid, refuse=True) as turn,
          base.existing(services, instance.uuid) as container):
        if container['State'] == 'paused':
            services.engine.unpause_container(container['Id'])
            start.set_carrier(services.options.state_dir, instance.uuid, True)
        elif container['State'] not in base.RUNNING:
            kept = suspended.checkpoint(services, instance.uuid, container)
            if not kept:
                LOG.warning('Its frozen processes are lost, and it starts '
                            'anew', instance=instance)
            shares.settle(services, context, instance, network_info,
                          share_info)
            start.plug_and_start(services, context, turn, instance,
                                 network_info, container['Id'],
                                 block_device_info, kept)
        suspended.end(services, instance.uuid)


def heal(services: base.Services) -> None:
    """Let go on what was being suspended or resumed as nova-compute ended.

    Nova goes on with neither: an operator resets the state of the server, and
    it is to be an active one that runs. Never raises.
    """
    for uuid in suspended.instances(services):
        if migrating.read(services, uuid):
            continue
        try:
            instance = base.instance_of(
                services, nova_context.get_admin_context(), uuid, ATTRIBUTES)
            if (instance.vm_state == vm_states.SUSPENDED and
                    instance.task_state is None):
                continue
            LOG.warning('It was cut off, and goes on', instance=instance)
            if not _is_ready(services, instance):
                raise exception.InstanceResumeFailure(reason=_(
                    'the host was rebooted'))
            resume(services, nova_context.get_admin_context(), instance,
                   instance.get_network_info(), None, None)
        except exception.InstanceNotFound as error:
            # As of one that was evacuated: Nova has it removed next.
            LOG.info('%s', error)
        except Exception:
            LOG.exception('Instance %s stays suspended; a hard reboot starts '
                          'it', uuid)


def _is_ready(services: base.Services, instance: typing.Any) -> bool:
    """Whether an instance can go on without Neutron's and Cinder's help."""
    container = base.find(services, instance.uuid)
    return bool(container and (
        container['State'] in base.RUNNING or os.path.ismount(
            plans.netns_path(services.options.state_dir, instance.uuid))))


@contextlib.contextmanager
def _kept(failure: type[exception.NovaException]
          ) -> collections.abc.Iterator[None]:
    """Whatever fails, Nova is to leave the instance in its state.

    :param failure: what it failed at
    """
    try:
        yield
    except Exception as error:
        LOG.exception('An instance stays as it is')
        if not isinstance(error, failure):
            reason = (error.format_message()
                      if isinstance(error, exception.NovaException)
                      else str(error))
            # An engine puts why behind what it did.
            error = failure(reason=reason if len(reason) <= _REASON
                            else f'...{reason[-_REASON:]}')
        raise exception.InstanceFaultRollback(
            inner_exception=error) from error


def reasons(services: base.Services, instance: typing.Any,
            container: client.Json) -> collections.abc.Iterator[str]:
    """Why an instance can't be suspended, before anything is touched."""
    options = services.options
    if container['State'] != 'running':
        yield _('it does not run')
    yield from reasons_of_host(services, instance)
    if not options.suspend.checkpoint:
        return
    if volumes.device_nodes(records.read(options.state_dir, instance.uuid)):
        yield _('it has a volume as a block device')
    if sriov.names(instance.get_network_info()):
        yield _('it has a port that is a part of a network card')


def reasons_of_host(services: base.Services, instance: typing.Any
                    ) -> collections.abc.Iterator[str]:
    """Why this host can suspend none like an instance."""
    options = services.options
    if options.suspend.refusal:
        yield options.suspend.refusal
    if not options.suspend.checkpoint:
        return
    if strutils.bool_from_string(
            instance.flavor.extra_specs.get('docker:nesting')):
        yield _('it may run containers of its own (docker:nesting), which '
                'CRIU does not write down')
    elif (services.engine.info()['CgroupVersion'] == '2' and
            system.wanted(create.of_instance(instance))):
        yield _('it is a system container, whose limit of control groups '
                'would be lost')


def checkpoint(services: base.Services, instance: typing.Any,
               container: client.Json) -> None:
    """Write the processes to a checkpoint, whatever the engine says of it.

    One of before goes: the engine had not ended it when nova-compute was
    killed, and its memory is not of the files of now.

    :raises nova_docker.engine.errors.EngineError: it can't; they run on
    """
    try:
        if suspended.checkpoint(services, instance.uuid, container):
            services.engine.remove_checkpoint(container['Id'],
                                              suspended.CHECKPOINT)
        services.engine.create_checkpoint(container['Id'],
                                          suspended.CHECKPOINT)
    except errors.EngineError:
        if not (suspended.checkpoint(services, instance.uuid, container) and
                base.get(services, instance.uuid)['State'] == 'exited'):
            suspended.end(services, instance.uuid)
            raise
        LOG.exception('There is a checkpoint nevertheless',
                      instance=instance)
    _wait_exited(services, instance)


@tenacity.retry(retry=tenacity.retry_if_result(base.RUNNING.__contains__),
                stop=tenacity.stop_after_delay(60),
                wait=tenacity.wait_fixed(0.1),
                retry_error_callback=lambda retry: None)
def _wait_exited(services: base.Services, instance: typing.Any) -> str:
    """Wait until the engine, too, has seen that the processes are gone.

    It answers a checkpoint before: the container is paused for a moment yet,
    and a resume would go on with that. The checkpoint is good in any case, so
    one that stays so for a minute is no failure.
    """
    return str(base.get(services, instance.uuid)['State'])


def _freeze(services: base.Services, instance: typing.Any,
            container: client.Json) -> None:
    """Freeze the processes.

    :raises nova_docker.engine.errors.EngineError: they can't be; they run on
    """
    try:
        services.engine.pause_container(container['Id'])
    except errors.EngineError:
        suspended.end(services, instance.uuid)
        raise

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


"""quiesce and unquiesce: an instance that writes nothing for a while.

Nova quiesces an instance before it has Cinder make snapshots of its volumes.
"""

import threading
import typing

from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.lifecycle import frozen
from nova_docker.lifecycle import power
from nova_docker.privsep import files

LOG = logging.getLogger(__name__)

#: Seconds until the processes go on, whether Nova has come back or not. It
#: asks Cinder for one snapshot after the other, and does not wait for them.
LIMIT = 600


def quiesce(services: base.Services, instance: typing.Any) -> None:
    """Freeze the processes, write what they wrote, freeze the volumes.

    In this order: a process that waits for a frozen file system can not be
    frozen itself.

    Source: nova.virt.driver.ComputeDriver.quiesce.

    :raises nova.exception.InstanceQuiesceFailed: it does not run
    """
    services.frozen.add(instance.uuid)
    try:
        frozen.begin(services, instance.uuid)
        power.freeze(services, instance)
        files.sync()
        frozen.freeze(services, instance.uuid)
        timer = threading.Timer(LIMIT, _overdue, (services, instance))
        timer.daemon = True
        services.deadlines[instance.uuid] = timer
        timer.start()
    except Exception as error:
        unquiesce(services, instance)
        if isinstance(error, exception.NovaException):
            raise exception.InstanceQuiesceFailed(
                reason=error.format_message()) from error
        raise


def unquiesce(services: base.Services, instance: typing.Any) -> None:
    """Let the processes of a quiesced instance go on.

    One that has been stopped or destroyed since has none.

    Source: nova.virt.driver.ComputeDriver.unquiesce.
    """
    if timer := services.deadlines.pop(instance.uuid, None):
        timer.cancel()
    try:
        frozen.thaw(services, instance.uuid)
        power.thaw(services, instance)
        frozen.end(services, instance.uuid)
    except (exception.InstanceNotFound, exception.InstanceNotRunning):
        frozen.end(services, instance.uuid)
    finally:
        services.frozen.discard(instance.uuid)


def heal(services: base.Services) -> None:
    """Let go on what was quiesced as nova-compute ended. Never raises."""
    for uuid in frozen.instances(services):
        LOG.warning('Instance %s was quiesced as nova-compute ended, and '
                    'goes on', uuid)
        _let_go(services, objects.Instance(uuid=uuid))


def stop(services: base.Services) -> None:
    """Wait for nothing any more: nova-compute ends."""
    for timer in list(services.deadlines.values()):
        timer.cancel()


def _overdue(services: base.Services, instance: typing.Any) -> None:
    """The end of a quiesced instance's time, unless its user has it paused."""
    if instance.uuid in services.frozen:
        LOG.warning('Nova has not asked to unquiesce the instance for %d '
                    'seconds; it goes on', LIMIT, instance=instance)
        _let_go(services, instance)


def _let_go(services: base.Services, instance: typing.Any) -> None:
    try:
        unquiesce(services, instance)
    except Exception:
        LOG.exception('Instance %s may be left frozen', instance.uuid)

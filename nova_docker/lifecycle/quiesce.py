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


"""quiesce and unquiesce: an instance that writes nothing for a while."""

import typing

from nova import exception

from nova_docker.lifecycle import base
from nova_docker.lifecycle import power
from nova_docker.privsep import files


def quiesce(services: base.Services, instance: typing.Any) -> None:
    """Freeze the processes and write what they wrote to the disks.

    Source: nova.virt.driver.ComputeDriver.quiesce.

    :raises nova.exception.InstanceQuiesceFailed: it does not run
    """
    services.frozen.add(instance.uuid)
    try:
        power.freeze(services, instance)
        files.sync()
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
    try:
        power.thaw(services, instance)
    except (exception.InstanceNotFound, exception.InstanceNotRunning):
        pass
    finally:
        services.frozen.discard(instance.uuid)

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

"""set_admin_password."""

import typing

from nova import exception

from nova_docker.lifecycle import base
from nova_docker.metadata import password


def set_admin_password(services: base.Services, instance: typing.Any,
                       new_pass: str) -> None:
    """Change the administrator's password in the container that runs.

    Source: nova.virt.driver.ComputeDriver.set_admin_password.

    :raises nova.exception.SetAdminPasswdNotSupported: the container has no
        place for it. Of this class alone the user sees the reason.
    :raises nova.exception.InstanceNotRunning: it does not run
    :raises nova.exception.InstancePasswordSetFailed: it can't be written
    """
    with (services.gate.turn(instance.uuid),
          base.existing(services, instance.uuid) as container):
        if container['State'] != 'running':
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        details = services.engine.inspect_container(container['Id'])
        try:
            password.change(details['State']['Pid'], container['Id'],
                            password.user(instance.image_meta), new_pass)
        except ValueError as error:
            raise exception.SetAdminPasswdNotSupported(
                'The password of the server can not be set: '
                f'{error}') from error
        except OSError as error:
            raise exception.InstancePasswordSetFailed(
                instance=instance.uuid, reason=str(error)) from error
    password.keep(instance, new_pass)

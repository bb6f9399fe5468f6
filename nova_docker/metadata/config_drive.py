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

"""The config drive: a read-only directory of metadata in the container.

Its content is that of any config drive of Nova (``openstack/latest/...`` and
so on). It has the user data and may have passwords, so that only root can
read it, on the host and in the container.
"""

import collections.abc
import os
import typing

from nova.api.metadata import base as instance_metadata
from nova.virt import configdrive

from nova_docker.privsep import files
from nova_docker.spec import paths


def ensure(directory: str, instance: typing.Any, network_info: typing.Any,
           injected_files: collections.abc.Sequence[tuple[str, bytes]] = (),
           admin_password: str | None = None) -> list[dict[str, typing.Any]]:
    """Make the instance's config drive unless it is there.

    :param directory: where; its parent is there
    :param injected_files: (path, data); known at spawn and rebuild only
    :param admin_password: known at spawn and rebuild only
    :returns: CDI mounts
    """
    if not os.path.isdir(directory):
        metadata = instance_metadata.InstanceMetadata(
            instance, content=injected_files, network_info=network_info,
            extra_md={'admin_pass': admin_password} if admin_password else {})
        files.write_tree(directory, [
            (path, data.encode() if isinstance(data, str) else data)
            for path, data in metadata.metadata_for_config_drive()])
    return [{
        'hostPath': directory, 'containerPath': paths.CONFIG_DRIVE,
        'type': 'bind',
        'options': ['bind', 'ro', 'nosuid', 'nodev', 'noexec']}]


def required(instance: typing.Any) -> bool:
    """Whether the user, the image or the operator wants one."""
    return bool(configdrive.required_by(instance))

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


"""The CDI specification files of this host's instances.

Keep files only of instances that should run: the engine reads all of them
at every start of any container.
"""

import collections.abc
import json
import os
import typing

from nova_docker.cdi import hook
from nova_docker.cdi import spec
from nova_docker.privsep import files
from nova_docker.spec import names


def write(directory: str, instance_uuid: str, state_dir: str,
          hook_timeout: int,
          device_nodes: collections.abc.Sequence[spec.Json] = (),
          mounts: collections.abc.Sequence[spec.Json] = (),
          rescue: bool = False,
          pci_nodes: collections.abc.Sequence[spec.Json] = ()) -> None:
    """Write or replace the file of an instance.

    :param directory: one of the engine's CDI directories
    :param state_dir: where the hooks are installed
    :param hook_timeout: seconds
    :param device_nodes: CDI deviceNodes
    :param mounts: CDI mounts
    :param rescue: whether the container may run that the instance is rescued
        with, and not its own
    :param pci_nodes: CDI deviceNodes of PCI devices
    :raises OSError: it cannot be written
    """
    content = spec.build(
        names.device(instance_uuid, rescue),
        hook.command(state_dir, instance_uuid),
        hook.system_command(state_dir), hook_timeout, device_nodes, mounts,
        pci_nodes)
    _replace(directory, instance_uuid, content)


def set_volumes(directory: str, instance_uuid: str,
                device_nodes: collections.abc.Sequence[spec.Json],
                mounts: collections.abc.Sequence[spec.Json],
                mounted: str) -> None:
    """Change the volumes in the file of an instance, if it is there.

    :param device_nodes: CDI deviceNodes
    :param mounts: CDI mounts
    :param mounted: where the host has all volumes mounted
    :raises OSError: it cannot be written
    """
    content = _read(os.path.join(directory, names.cdi_file(instance_uuid)))
    if content is not None:
        _replace(directory, instance_uuid,
                 spec.with_volumes(content, device_nodes, mounts, mounted))


def remove(directory: str, instance_uuid: str) -> None:
    """Remove the file of an instance if it is there."""
    files.remove(os.path.join(directory, names.cdi_file(instance_uuid)))


def instances(directory: str, state_dir: str) -> set[str]:
    """The instances that this nova-compute has a file of.

    :param state_dir: where its start hook is installed
    """
    found: set[str] = set()
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return found
    for entry in entries:
        if entry.endswith('.json'):
            uuid = spec.instance_uuid(
                _read(os.path.join(directory, entry)), hook.path(state_dir))
            if uuid and entry == names.cdi_file(uuid):
                found.add(uuid)
    return found


def _replace(directory: str, instance_uuid: str, content: spec.Json) -> None:
    files.replace(os.path.join(directory, names.cdi_file(instance_uuid)),
                  json.dumps(content, indent=1))


def _read(path: str) -> typing.Any:
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except (OSError, ValueError):
        return None

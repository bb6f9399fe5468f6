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


"""The content of an instance's CDI specification. Pure.

https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
The engine reads the file at every start of the container.
"""

import collections.abc
import typing

from nova_docker.spec import names

#: The least version with all that is used here.
_VERSION = '0.6.0'

#: A decoded JSON object.
Json = dict[str, typing.Any]


def build(device: str, hook: collections.abc.Sequence[str],
          system_hook: collections.abc.Sequence[str], timeout: int,
          device_nodes: collections.abc.Sequence[Json] = (),
          mounts: collections.abc.Sequence[Json] = (),
          pci_nodes: collections.abc.Sequence[Json] = ()) -> Json:
    """The specification with the devices of an instance.

    The second is for system containers, the third for those with an engine of
    their own: whether it has one is said when the container is created, and
    the engine remembers.

    :param device: of :func:`nova_docker.spec.names.device`
    :param hook: path of the start hook and its arguments, the last of which
        is the instance's uuid
    :param system_hook: the same of the hook that makes control groups
        writable
    :param timeout: seconds for which a hook may run, more than 0: a hook
        with 0 is timed out at once
    :param device_nodes: CDI deviceNodes
    :param mounts: CDI mounts
    :param pci_nodes: deviceNodes of a fourth device, which is there if it has
        some
    """
    edits = _hook(hook, timeout)
    if device_nodes:
        edits['deviceNodes'] = list(device_nodes)
    if mounts:
        edits['mounts'] = list(mounts)
    return {
        'cdiVersion': _VERSION,
        'kind': names.CDI_KIND,
        'devices': [
            {'name': device, 'containerEdits': edits},
            {'name': names.system_device(device),
             'containerEdits': _hook(system_hook, timeout)},
            {'name': names.nesting_device(device),
             'containerEdits': _hook([*system_hook, 'all'], timeout)},
            *([{'name': names.pci_device(device),
                'containerEdits': {'deviceNodes': list(pci_nodes)}}]
              if pci_nodes else [])],
    }


def with_volumes(spec: typing.Any,
                 device_nodes: collections.abc.Sequence[Json],
                 mounts: collections.abc.Sequence[Json],
                 directory: str) -> Json:
    """A specification of ours, with other volumes.

    :param device_nodes: CDI deviceNodes
    :param mounts: CDI mounts
    :param directory: where the host has all volumes mounted
    """
    device, *others = spec['devices']
    edits = dict(device['containerEdits'])
    kept = [mount for mount in edits.pop('mounts', ())
            if not mount['hostPath'].startswith(f'{directory}/')]
    edits.pop('deviceNodes', None)
    if device_nodes:
        edits['deviceNodes'] = list(device_nodes)
    if kept or mounts:
        edits['mounts'] = [*kept, *mounts]
    return {**spec, 'devices': [{**device, 'containerEdits': edits}, *others]}


def _hook(hook: collections.abc.Sequence[str], timeout: int) -> Json:
    path, *arguments = hook
    return {'hooks': [{
        'hookName': 'createRuntime',
        'path': path,
        # The first is the hook's own name, as in execve(2).
        'args': [path, *arguments],
        'timeout': timeout,
    }]}


def instance_uuid(spec: typing.Any, hook: str) -> str | None:
    """The instance of one of our specifications.

    :param hook: path of the start hook
    :returns: None when the specification is of somebody else, which may be
        another nova-compute on this host
    """
    try:
        device = spec['devices'][0]
        if (spec['kind'] == names.CDI_KIND and
                device['containerEdits']['hooks'][0]['path'] == hook):
            uuid: str = device['containerEdits']['hooks'][0]['args'][-1]
            return uuid
    except (IndexError, KeyError, TypeError, ValueError):
        pass
    return None

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

"""How the root disk of an instance is held to its flavor's size. Pure."""

import typing

#: By the engine's own storage option.
ENGINE = 'engine'
#: By a file system under the container's writable layer.
FILESYSTEM = 'filesystem'
#: Not at all.
UNLIMITED = 'unlimited'


def kind(of_host: str, root_gb: int) -> str:
    """How that of one instance is.

    :param of_host: how those of its host are
    :param root_gb: of the flavor; 0 is none that could be held to
    """
    return of_host if root_gb else UNLIMITED


def host_config(disk: str, root_gb: int) -> dict[str, typing.Any]:
    """HostConfig of the root disk.

    :param disk: of :func:`kind`
    """
    if disk != ENGINE:
        return {}
    return {'StorageOpt': {'size': f'{root_gb}G'}}

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

"""The disks of an instance, and how they are held to their sizes. Pure."""

import typing

#: By the engine's own storage option.
ENGINE = 'engine'
#: By a file system under the container's writable layer.
FILESYSTEM = 'filesystem'
#: By the volume of Cinder that it is.
VOLUME = 'volume'
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


def ephemeral_sizes(ephemeral_gb: int, block_device_info: typing.Any
                    ) -> list[int]:
    """GiB of each ephemeral disk: those that are asked for, or the flavor's.

    :param ephemeral_gb: of the flavor, which Nova holds the others to
    :param block_device_info: of nova.virt.driver.get_block_device_info
    """
    asked = [disk['size'] for disk in
             (block_device_info or {}).get('ephemerals') or ()]
    return asked or ([ephemeral_gb] if ephemeral_gb else [])


def ephemeral_paths(count: int) -> list[str]:
    """Where a server has its ephemeral disks."""
    return [f'/mnt/ephemeral{number}' for number in range(count)]


def swap_mb(flavor_mb: int, block_device_info: typing.Any) -> int:
    """MiB of swap: what is asked for, or the flavor's."""
    asked = (block_device_info or {}).get('swap')
    return int(asked['swap_size']) if asked else flavor_mb

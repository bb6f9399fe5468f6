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

"""Volumes of Cinder that an instance has. Pure.

As a block device under the name that Nova gives it or, where its own metadata,
the image or the flavor say so, as a mounted file system at a path.
"""

import collections.abc
import dataclasses
import re
import typing

from nova_docker.spec import paths

#: What is done with a volume, as the record of it says. One that is neither
#: there nor gone was cut off in the middle, and is taken out.
ATTACHING = 'attaching'
ATTACHED = 'attached'
DETACHING = 'detaching'
#: It is copied to another one, and no container has it meanwhile.
SWAPPING = 'swapping'

#: Who may use a device node: root, and the group disk, which has this number
#: in the usual distributions.
MODE = 0o660
GROUP = 6

#: What says that a volume is mounted, and where: a key of its metadata, a
#: docker_* property of the image, an extra spec of the flavor.
METADATA = 'docker_mount_path'
PROPERTY = 'volume_mount_path'
EXTRA_SPEC = 'docker:volume_mount_path'
_VARIABLE = '{device}'

#: All that Nova makes up, and no way out of /dev.
_DEVICE = re.compile(r'/dev/[a-z][a-z0-9]{0,30}')
#: What the engine itself puts there.
_OF_THE_ENGINE = frozenset(f'/dev/{name}' for name in (
    'console', 'core', 'fd', 'full', 'fuse', 'mqueue', 'null', 'ptmx', 'pts',
    'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero'))

#: A decoded JSON object.
Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume of an instance, as it is kept beside the instance.

    :ivar id: Cinder's
    :ivar device: where the container has it, such as /dev/vdb
    :ivar connection: Cinder's connection_info, with its secrets
    :ivar encryption: Cinder's encryption metadata, empty without
    :ivar state: one of the above
    :ivar info: what os-brick said of the connection; None before there is one
    :ivar path: the block device of the host, without links; '' before
    :ivar major: its number, with minor
    :ivar boot: the boot of the host in which it was connected
    :ivar mount_path: where the container has its file system; '' when it has
        the block device
    :ivar replaced: the id of the one that it was swapped with, '' without.
        Cinder may call it so: a volume that it has migrated keeps its id
    :ivar root: whether the instance boots from it: then the container has its
        files, and no device
    """

    id: str
    device: str
    connection: Json
    encryption: Json
    state: str = ATTACHING
    info: Json | None = None
    path: str = ''
    major: int = 0
    minor: int = 0
    boot: str = ''
    mount_path: str = ''
    root: bool = False
    replaced: str = ''

    def to_dict(self) -> Json:
        """Of plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Json) -> 'Volume':
        """The inverse of :meth:`to_dict`."""
        return cls(**plain)

    @property
    def read_only(self) -> bool:
        """Whether Cinder lets it be read only."""
        return bool(
            self.connection.get('data', {}).get('access_mode') == 'ro')

    @property
    def shared(self) -> bool:
        """Whether several instances may have it."""
        return bool(self.connection.get('multiattach'))

    @property
    def access(self) -> str:
        """What its device may be used for, as control groups have it."""
        return 'r' if self.read_only else 'rwm'


def device_nodes(volumes: collections.abc.Iterable[Volume]) -> list[Json]:
    """The CDI device nodes of volumes.

    Without its number: so the engine looks for the device at each start, and
    fails that of a container whose volume is gone.
    """
    return [{'path': volume.device, 'hostPath': volume.path, 'type': 'b',
             'uid': 0, 'gid': GROUP, 'fileMode': MODE,
             'permissions': volume.access}
            for volume in volumes
            if _is_there(volume) and not (volume.mount_path or volume.root)]


def mounts(volumes: collections.abc.Iterable[Volume],
           directory: str) -> list[Json]:
    """The CDI mounts of volumes.

    :param directory: where the host has them mounted, by their ids
    """
    return [{'hostPath': f'{directory}/{volume.id}',
             'containerPath': volume.mount_path, 'type': 'bind',
             'options': ['bind', 'ro' if volume.read_only else 'rw',
                         'nosuid', 'nodev']}
            for volume in volumes
            if _is_there(volume) and volume.mount_path]


def _is_there(volume: Volume) -> bool:
    return bool(volume.path) and volume.state != DETACHING


def mount_paths(volumes: collections.abc.Iterable[Volume]
                ) -> dict[str, str]:
    """The mount_path of each volume, by all ids that Cinder may give it."""
    return {each: volume.mount_path for volume in volumes
            for each in (volume.replaced, volume.id) if each}


def mount_path(device: str,
               metadata: collections.abc.Mapping[str, str],
               image_properties: collections.abc.Mapping[str, str],
               extra_specs: collections.abc.Mapping[str, str]) -> str:
    """Where a container has the file system of a volume.

    :param device: its name, whose last part is put for {device}
    :param metadata: Cinder's of the volume, which decides, be it empty
    :param image_properties: the docker_* ones of the image, without that
        prefix, which decide next
    :param extra_specs: of the flavor
    :returns: '' when it has the block device
    :raises ValueError: nothing can be mounted there
    """
    choices = (metadata.get(METADATA), image_properties.get(PROPERTY),
               extra_specs.get(EXTRA_SPEC))
    choice = next((each for each in choices if each is not None), '')
    path = choice.replace(_VARIABLE, device.rpartition('/')[2])
    taken = (*paths.KERNEL, *paths.ENGINE, paths.CONFIG_DRIVE, paths.SHARES)
    if path and (not paths.is_plain(path) or paths.within(path, taken) or any(
            paths.within(each, [path]) for each in taken)):
        raise ValueError(f'a volume can not be mounted at {choice[:100]!r}')
    return path


def is_root(mapping: collections.abc.Mapping[str, typing.Any]) -> bool:
    """Whether an instance boots from a volume.

    :param mapping: of block_device_info
    """
    return bool(mapping['boot_index'] == 0)


def has_root(block_device_info: typing.Any) -> bool:
    """Whether an instance boots from one of its volumes.

    :param block_device_info: of nova.virt.driver.get_block_device_info
    """
    return any(is_root(mapping) for mapping in (block_device_info or {}).get(
        'block_device_mapping') or ())


def is_device(name: typing.Any) -> bool:
    """Whether a container can have a volume under a name."""
    return (isinstance(name, str) and bool(_DEVICE.fullmatch(name)) and
            name not in _OF_THE_ENGINE)

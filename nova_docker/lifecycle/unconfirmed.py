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

"""What is kept of a resize or a migration until it is confirmed or reverted.

Not in the directory of the instance, which goes with what a revert gives up.
"""

import contextlib
import dataclasses
import os

from nova_docker.network import plans


@dataclasses.dataclass(frozen=True)
class Move:
    """A resize or a migration of an instance of this host.

    :ivar container: the id of the container that it has left; '' without one
    :ivar flavor: the flavorid of what that container is of
    :ivar mount_paths: of its volumes, as of nova_docker.spec.volumes
    :ivar done: whether another container has all files of that one
    """

    container: str
    flavor: str = ''
    mount_paths: dict[str, str] = dataclasses.field(default_factory=dict)
    done: bool = False


def read(state_dir: str, instance_uuid: str) -> Move | None:
    """The one of an instance, if there is one."""
    plain = plans.read_json(_path(state_dir, instance_uuid))
    return Move(**plain) if plain else None


def container(state_dir: str, instance_uuid: str) -> str | None:
    """The id of the container that an instance has left, if it has."""
    move = read(state_dir, instance_uuid)
    return move.container or None if move else None


def instances(state_dir: str) -> set[str]:
    """The instances that something is kept of."""
    with contextlib.suppress(FileNotFoundError):
        return {name.removesuffix('.json') for name in
                os.listdir(_directory(state_dir)) if name.endswith('.json')}
    return set()


def write(state_dir: str, instance_uuid: str, move: Move) -> None:
    """Keep it, from now on, also should the host lose its power."""
    path = _path(state_dir, instance_uuid)
    os.makedirs(_directory(state_dir), mode=0o700, exist_ok=True)
    plans.write_json(path, dataclasses.asdict(move), durable=True)


def drop(state_dir: str, instance_uuid: str) -> None:
    """Forget it (idempotent)."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(state_dir, instance_uuid))


def _path(state_dir: str, instance_uuid: str) -> str:
    return os.path.join(_directory(state_dir), f'{instance_uuid}.json')


def _directory(state_dir: str) -> str:
    return os.path.join(state_dir, 'unconfirmed')

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

"""What is kept of the volumes of instances, over restarts of nova-compute.

It is written before something is done and after it: so what was cut off in the
middle is known, and how to undo it. It has the secrets of connections, in a
directory that is closed to all others.
"""

import collections.abc
import contextlib
import os

from nova_docker.network import plans
from nova_docker.spec import volumes


def read(state_dir: str, instance_uuid: str) -> list[volumes.Volume]:
    """The volumes of an instance, in the order of their attachment."""
    return [volumes.Volume.from_dict(plain) for plain in
            plans.read_json(_path(state_dir, instance_uuid)) or ()]


def find(state_dir: str, instance_uuid: str,
         volume_id: str) -> volumes.Volume | None:
    """A volume of an instance."""
    return next((volume for volume in read(state_dir, instance_uuid)
                 if volume.id == volume_id), None)


def called(state_dir: str, instance_uuid: str,
           volume_id: str) -> volumes.Volume | None:
    """As :func:`find`, also by the id of the one that it was swapped with."""
    return find(state_dir, instance_uuid, volume_id) or next(
        (volume for volume in read(state_dir, instance_uuid)
         if volume.replaced == volume_id), None)


def root(state_dir: str, instance_uuid: str) -> volumes.Volume | None:
    """The volume that an instance boots from; None for one with an image."""
    return next((volume for volume in read(state_dir, instance_uuid)
                 if volume.root), None)


def put(state_dir: str, instance_uuid: str, volume: volumes.Volume) -> None:
    """Keep what is known of a volume, from now on."""
    known = read(state_dir, instance_uuid)
    ids = [each.id for each in known]
    at = ids.index(volume.id) if volume.id in ids else len(known)
    _write(state_dir, instance_uuid, [*known[:at], volume, *known[at + 1:]])


def swap(state_dir: str, instance_uuid: str, old: volumes.Volume,
         new: volumes.Volume) -> None:
    """Keep one volume in the place of another one, which comes last."""
    known = read(state_dir, instance_uuid)
    _write(state_dir, instance_uuid, [
        *(new if each.id == old.id else each for each in known
          if each.id != new.id), old])


def drop(state_dir: str, instance_uuid: str, volume_id: str) -> None:
    """Forget a volume (idempotent)."""
    _write(state_dir, instance_uuid, [
        volume for volume in read(state_dir, instance_uuid)
        if volume.id != volume_id])


def others(state_dir: str, instance_uuid: str
           ) -> collections.abc.Iterator[volumes.Volume]:
    """The volumes of all other instances of this host."""
    for uuid in plans.instances(state_dir) - {instance_uuid}:
        yield from read(state_dir, uuid)


def mounted(state_dir: str, instance_uuid: str) -> str:
    """Directory below which the host has an instance's volumes mounted.

    It is root's: nobody else may put something else there.
    """
    return os.path.join(state_dir, 'volumes', instance_uuid)


def _write(state_dir: str, instance_uuid: str,
           known: collections.abc.Sequence[volumes.Volume]) -> None:
    if known:
        plans.ensure(state_dir, instance_uuid)
        plans.write_json(_path(state_dir, instance_uuid),
                         [volume.to_dict() for volume in known])
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(state_dir, instance_uuid))


def _path(state_dir: str, instance_uuid: str) -> str:
    return os.path.join(
        plans.instance_dir(state_dir, instance_uuid), 'volumes.json')

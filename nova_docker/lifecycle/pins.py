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

"""What keeps an instance's image the same when a tag in a registry moves.

The private reference of the image, which has the digest, is stored with the
instance: so every host makes it again of the same image, after the loss of
its container, an evacuation, a shelving or a rebuild with the same image.
"""

import typing

from nova_docker.image import load

#: In the instance's system metadata. Without the prefix of image properties:
#: a snapshot of the instance is another image.
_KEY = 'docker_image_reference'


def of(instance: typing.Any) -> str | None:
    """The private reference that the instance has; see Request.pinned."""
    found: str | None = instance.system_metadata.get(_KEY)
    return found


def keep(instance: typing.Any, image_id: str, image: load.Image) -> None:
    """Store the reference of the instance's image if it is in a registry.

    :param image_id: of the image in Glance; another one than the instance's
        is that of a rescue
    """
    if (image.in_registry and image_id == instance.image_ref
            and of(instance) != image.reference):
        instance.system_metadata[_KEY] = image.reference
        instance.save()

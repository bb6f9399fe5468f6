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

"""One image into Glance: its record, its data, and what the data told."""

import dataclasses
import logging
import typing

from openstack import exceptions
from openstack.image.v2 import image as sdk_image

from nova_docker.osc import checked
from nova_docker.osc import properties

LOG = logging.getLogger(__name__)

_Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was learnt from the data.

    :ivar size: bytes of the unpacked image
    :ivar properties: properties of the image that follow from its
        configuration
    """

    size: int
    properties: dict[str, str]


def create(client: typing.Any, attributes: _Json,
           data: checked.Checked[Facts]) -> sdk_image.Image:
    """Create an image; none is left when that fails or is interrupted.

    :param client: the SDK's openstack.image.v2._proxy.Proxy
    :param attributes: of the record; they win over what the data tells
    :raises openstack.exceptions.SDKException: Glance refused
    :raises Exception: what the data was aborted with
    """
    # create_image would add the checksums of no file, and take an image's
    # name for that of a file. A protected image could not be deleted.
    image = sdk_image.Image.new(**{
        name: value for name, value in attributes.items()
        if name != 'is_protected'}).create(client)
    try:
        _send(client, image, data)
        return _completed(client, image, attributes, data.facts)
    except BaseException:
        _delete(client, image)
        raise


def _send(client: typing.Any, image: sdk_image.Image,
          data: checked.Checked[Facts]) -> None:
    try:
        exceptions.raise_from_response(image.upload(client, data=data))
    except Exception:
        if data.error is not None:
            raise data.error from None
        raise


def _completed(client: typing.Any, image: sdk_image.Image, attributes: _Json,
               facts: Facts | None) -> sdk_image.Image:
    """The image with what only the data could tell and the user did not."""
    assert facts is not None
    learnt = {name: value for name, value in facts.properties.items()
              if name not in attributes}
    # The SDK takes away what these lack.
    changes: _Json = {'properties': {**(image.properties or {}), **learnt}}
    if 'min_disk' not in attributes:
        changes['min_disk'] = properties.min_disk(facts.size)
    if 'is_protected' in attributes:
        changes['is_protected'] = attributes['is_protected']
    return typing.cast(sdk_image.Image, client.update_image(image, **changes))


def _delete(client: typing.Any, image: sdk_image.Image) -> None:
    try:
        client.delete_image(image.id)
    except Exception as exc:
        LOG.warning('Image %(image)s may be left in the Image service: '
                    '%(error)s', {'image': image.id, 'error': exc})

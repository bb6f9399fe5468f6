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

"""Write tempest.conf from what the cloud has."""

import pathlib
import sys
import typing

import openstack

from evalcloud import config
from evalcloud import dropbear
from evalcloud import inside
from evalcloud import settings
from evalcloud import tempest


def main() -> None:
    cloud = settings.load(pathlib.Path(sys.argv[1]))
    assert cloud is not None
    admin: typing.Any = openstack.connect(cloud='nova-docker')
    image, image_alt = (admin.image.find_image(name, ignore_missing=False).id
                        for name in tempest.IMAGES)
    flavor, flavor_alt = (
        admin.compute.find_flavor(name, ignore_missing=False).id
        for name in tempest.FLAVORS)
    found = tempest.Found(
        images=(image, image_alt), image_file=dropbear.packed(),
        flavors=(flavor, flavor_alt),
        public_network=admin.network.find_network(
            'public', ignore_missing=False).id,
        extensions=tuple(sorted(
            each.alias for each in admin.network.extensions())),
        services=tuple(each.type for each in admin.identity.services()))
    file = tempest.file(cloud)
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(config.ini(tempest.sections(cloud, found)))


if __name__ == '__main__':
    inside.run(main)

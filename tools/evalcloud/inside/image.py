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

"""Put an image into the cloud, for all its users."""

import json
import pathlib
import sys
import typing

import openstack

from evalcloud import inside
from evalcloud import progress


def main() -> None:
    """Arguments: state folder, name, file, JSON of what Glance shall know."""
    _, _, name, file, said = sys.argv
    admin: typing.Any = openstack.connect(cloud='nova-docker')
    if admin.image.find_image(name):
        progress.say(f'there is an image {name}')
        return
    with progress.Step(f'image {name}'):
        admin.create_image(name, filename=str(pathlib.Path(file)), wait=True,
                           visibility='public', **json.loads(said))


if __name__ == '__main__':
    inside.run(main)

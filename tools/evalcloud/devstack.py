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

"""What a DevStack has of this cloud: its image, and how Tempest runs on it.

devstack/lib/nova-docker reads the lines that this prints.
"""

import sys

from evalcloud import dropbear
from evalcloud import paths
from evalcloud import progress
from evalcloud import system_image
from evalcloud import tempest

#: Features that take something else of the cloud too, a proxy or a kind of
#: volumes: whether they are there DevStack knows.
_NOT_ALONE = ('extend_attached_volume', 'serial_console', 'spice_console',
              'vnc_console', 'volume_multiattach')

#: Hosts of containers have the trait. Where they are in an aggregate that
#: asks for it, nothing else goes to them.
_PROPERTIES = {'img_hv_type': 'docker', 'trait:CUSTOM_DOCKER': 'required'}


def image() -> list[str]:
    """Arguments of "openstack image create", without the name."""
    formats = system_image.FORMATS
    found = ['--file', str(dropbear.packed()),
             '--container-format', formats['container_format'],
             '--disk-format', formats['disk_format']]
    for key, value in (dropbear.PROPERTIES | _PROPERTIES).items():
        found += ['--property', f'{key}={value}']
    return found


def tempest_conf() -> list[str]:
    """Section, option and value of what tempest.conf has to say."""
    found = tempest.driver(paths.SOURCE / tempest.MATRIX, dropbear.packed())
    return [f'{section} {option} {value}'
            for section, options in found.items()
            for option, value in options.items()
            if not (value and option in _NOT_ALONE)]


def main() -> None:
    """Print what is named: image or tempest."""
    found = {'image': image, 'tempest': tempest_conf}[sys.argv[1]]()
    print('\n'.join(found))


if __name__ == '__main__':
    try:
        main()
    except progress.Failure as failure:
        sys.exit(f'evalcloud.devstack: {failure}')

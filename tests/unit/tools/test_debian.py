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

from oslotest import base

from evalcloud import debian
from tests.unit.tools import test_system_image


class RootfsTest(test_system_image.SystemImageTestCase):

    def test_network_is_not_for_cloud_init(self):
        debian.rootfs()
        self.assertIn('network: {config: disabled}', (
            self.tree / 'etc/cloud/cloud.cfg.d/90_container.cfg').read_text())

    def test_nothing_of_this_machine_is_in_it(self):
        debian.rootfs()
        for name in ('etc/ssh/ssh_host_*', 'etc/hostname', 'etc/resolv.conf'):
            self.assertIn(f'--customize-hook=rm -f "$1"/{name}', self.command)


class PropertiesTest(base.BaseTestCase):

    def test_they_make_a_system_container(self):
        self.assertEqual('true',
                         debian.PROPERTIES['docker_system_container'])
        self.assertEqual('rootfs', debian.PROPERTIES['docker_image_type'])
        self.assertEqual('/sbin/init', debian.PROPERTIES['docker_command'])

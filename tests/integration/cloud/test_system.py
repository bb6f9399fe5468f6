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

"""A Debian with systemd and cloud-init, used like a virtual machine."""

import base64

from tests.integration.cloud import base
from tests.integration.cloud import system

#: cloud-init installs the command that is run over ssh later.
USER_DATA = """\
#cloud-config
write_files:
- path: /usr/local/bin/proof
  permissions: '0755'
  content: |
    #!/bin/sh
    echo "set up by user data on $(hostname)"
runcmd:
- echo once >> /var/lib/proof
"""


class SystemTest(system.SystemTestCase):

    def assert_life(self, name, source, **options):
        server = self.create(
            name, image='debian', flavor='m1.small', key_name='system',
            user_data=base64.b64encode(USER_DATA.encode()).decode(),
            **options)
        address = self.floating_ip(server)
        self.wait_up(address, server)
        proof = (0, f'set up by user data on {name}\n')
        self.assertEqual(proof, self.ssh(address, 'proof'))
        self.assertEqual((0, 'root\n'), self.ssh(address, 'sudo whoami'))
        self.assertIn(f'DataSource{source}', self.ssh(
            address, 'cat /run/cloud-init/result.json')[1])
        host_keys = self.ssh(address, 'cat /etc/ssh/ssh_host_*.pub')[1]
        self.assertIn(f'@{name}', host_keys)
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        self.assertEqual(
            0, self.container(server)['State']['ExitCode'])
        self.compute.start_server(server)
        self.wait_status(server, 'ACTIVE')
        self.wait_up(address, server)
        before = self.container(server)['State']['StartedAt']
        self.compute.reboot_server(server, 'SOFT')
        base.wait_for('reboot', lambda: self.container(
            server)['State']['StartedAt'] != before)
        self.wait_status(server, 'ACTIVE')
        self.wait_up(address, server)
        self.assertEqual(proof, self.ssh(address, 'proof'))
        self.assertEqual(host_keys, self.ssh(
            address, 'cat /etc/ssh/ssh_host_*.pub')[1])
        self.assertEqual((0, 'once\n'), self.ssh(
            address, 'cat /var/lib/proof'))

    def test_metadata_service(self):
        self.assert_life('system-service', 'OpenStack')

    def test_config_drive(self):
        self.assert_life('system-drive', 'ConfigDrive', config_drive=True)

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
import pathlib
import subprocess

import fixtures

from tests.integration.cloud import base

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


class SystemTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.assertIsNotNone(
            self.cloud.image.find_image('debian'),
            'there is no image debian: tools/cloud image debian')
        self.key = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'key')
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '',
                        '-f', self.key], check=True)
        self.compute.create_keypair(
            name='system',
            public_key=self.key.with_suffix('.pub').read_text())
        self.addCleanup(self.compute.delete_keypair, 'system')

    def ssh(self, address, command):
        """Exit status and output of a command over ssh."""
        done = subprocess.run(
            ['ssh', '-i', self.key, '-o', 'StrictHostKeyChecking=no',
             '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR',
             '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=5',
             '-o', 'ServerAliveInterval=10',
             f'debian@{address}', command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=240)
        return done.returncode, done.stdout

    def wait_up(self, address, server):
        """Wait until sshd answers and cloud-init is done; no unit failed."""
        base.wait_for(f'ssh to {server.name}', lambda: not self.ssh(
            address, 'true')[0], 240)
        status, output = self.ssh(address, 'cloud-init status --wait')
        self.assertEqual((0, 'status: done'),
                         (status, output.strip('.\n')))
        self.assertEqual((0, ''), self.ssh(
            address, 'systemctl --failed --no-legend'))

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

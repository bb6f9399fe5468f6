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

"""Servers that are used like virtual machines, by ssh."""

import pathlib
import subprocess

import fixtures

from tests.integration.cloud import base


class SystemTestCase(base.CloudTestCase):
    """A test with servers of a system image, and a key pair "system"."""

    #: Name of the image, as of "tools/cloud image".
    image = 'debian'

    def setUp(self):
        super().setUp()
        self.assertIsNotNone(
            self.cloud.image.find_image(self.image), 'there is no image '
            f'{self.image}: tools/cloud image {self.image}')
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

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

"""A server's life by playbooks of Ansible's collection openstack.cloud.

It has no module for console logs, nor for snapshots of servers.
"""

import os
import pathlib
import re
import subprocess
import unittest

import fixtures

from evalcloud import paths
from evalcloud import python
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.clients import base

#: What Ansible says of a host at the end.
_RECAP = re.compile(r'^localhost +: (.*)$', re.MULTILINE)


@unittest.skipUnless(cloud_base.LONG, 'takes minutes')
class AnsibleTest(base.ClientTestCase):

    def setUp(self):
        super().setUp()
        self._program = python.clients_venv(
            paths.SOURCE) / 'bin' / 'ansible-playbook'
        self._home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def _play(self, name):
        """Run a playbook; how many tasks changed something."""
        env = {**os.environ, 'ANSIBLE_HOME': str(self._home),
               'ANSIBLE_NOCOLOR': '1', 'ANSIBLE_LOCALHOST_WARNING': 'false',
               'LC_ALL': 'C.UTF-8'}
        done = subprocess.run(
            [self._program, '-e', f'server_name={self.name}', '-e',
             f'public_key={self.key_file}', base.FOLDER / f'{name}.yaml'],
            env=env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(0, done.returncode, done.stdout)
        counts = dict(each.split('=') for each in _RECAP.search(
            done.stdout).group(1).split())
        return int(counts['changed'])

    def test_life(self):
        self.addCleanup(self._play, 'absent')
        self.assertEqual(7, self._play('present'))
        self.assertEqual(0, self._play('present'))
        server = self.compute.get_server(
            self.compute.find_server(self.name, ignore_missing=False).id)
        [address] = self.network.ips(port_id=self.network.find_port(
            self.name).id)
        volume = self.volumes.find_volume(self.name)
        self.check(server, address.floating_ip_address, volume.id)
        with self.another_start(server):
            self._play('actions')
        self.check(self.compute.get_server(server.id),
                   address.floating_ip_address, volume.id)
        self.assertEqual(5, self._play('absent'))
        self.assertEqual([], self.containers(server))
        self.assertEqual(0, self._play('absent'))

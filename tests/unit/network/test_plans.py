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


import os
import stat

import fixtures
from oslotest import base

from nova_docker.network import plans
from nova_docker.spec import ports
from tests.fixtures import privsep

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'
PORT = ports.Port(
    'p', 'eth0', 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp',
    (ports.Address('10.0.0.5', 24, 4),),
    (ports.Route('0.0.0.0/0', '10.0.0.1', 0, 4),))


class PlansTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.state_dir = self.useFixture(fixtures.TempDir()).path

    def test_write_and_read(self):
        self.assertIsNone(plans.read(self.state_dir, UUID))
        plans.write(self.state_dir, UUID, [PORT])
        self.assertEqual([PORT], plans.read(self.state_dir, UUID))
        plans.write(self.state_dir, UUID, [])
        self.assertEqual([], plans.read(self.state_dir, UUID))
        self.assertEqual({UUID}, plans.instances(self.state_dir))

    def test_broken_files_are_no_plan(self):
        plans.write(self.state_dir, UUID, [PORT])
        path = os.path.join(
            plans.instance_dir(self.state_dir, UUID), 'ports.json')
        for text in ('', '[{"id": ', '[{"id": "p"}]', '{"a": 1}', 'null',
                     '[1]'):
            with open(path, 'w') as file:
                file.write(text)
            self.assertIsNone(plans.read(self.state_dir, UUID), text)

    def test_directories_are_private(self):
        directory = plans.ensure(self.state_dir, UUID)
        plans.ensure(self.state_dir, UUID)
        for path in (directory, plans.hooks_dir(self.state_dir, UUID)):
            self.assertEqual(0o700, stat.S_IMODE(os.stat(path).st_mode))

    def test_remove(self):
        plans.remove(self.state_dir, UUID)
        plans.write(self.state_dir, UUID, [PORT])
        os.mkfifo(os.path.join(plans.hooks_dir(self.state_dir, UUID), 'x'))
        plans.remove(self.state_dir, UUID)
        self.assertEqual(set(), plans.instances(self.state_dir))
        self.assertIsNone(plans.read(self.state_dir, UUID))

    def test_after_a_loss_of_power(self):
        """The file is on the disk before it gets its name, then the name."""
        done = []
        for name in 'fsync', 'rename':
            function = getattr(os, name)

            def noted(*args, name=name, function=function):
                function(*args)
                done.append((name, name == 'fsync' and stat.S_ISDIR(
                    os.fstat(args[0]).st_mode)))
            self.useFixture(fixtures.MockPatchObject(os, name, noted))
        path = os.path.join(self.state_dir, 'x.json')
        plans.write_json(path, 1)
        plans.write_json(path, 2, durable=True)
        self.assertEqual(2, plans.read_json(path))
        self.assertEqual([('rename', False), ('fsync', False),
                          ('rename', False), ('fsync', True)], done)

    def test_no_state_at_all(self):
        self.assertEqual(
            set(), plans.instances(os.path.join(self.state_dir, 'none')))

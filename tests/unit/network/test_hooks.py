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

import fixtures
from oslotest import base

from nova_docker.network import hooks
from nova_docker.network import plans
from nova_docker.network import process
from tests.fixtures import starts

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'


class HooksTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        plans.ensure(self.state_dir, UUID)
        self.me = f'{os.getpid()}-{process.start_time(os.getpid())}'

    def test_parse(self):
        hook = hooks.parse(self.state_dir, f'{UUID} 12-345')
        self.assertEqual((UUID, 12, 345),
                         (hook.uuid, hook.pid, hook.started))
        self.assertFalse(hook.alive())

    def test_parse_refuses(self):
        for line in ('', UUID, f'{UUID} 12', f'{UUID} 12-', f'{UUID} a-b',
                     f'../../etc/{UUID} 1-2', 'x 1-2', f'{UUID} -1-2'):
            self.assertRaises(ValueError, hooks.parse, self.state_dir, line)

    def test_alive_is_this_process_and_no_later_one(self):
        self.assertTrue(
            hooks.parse(self.state_dir, f'{UUID} {self.me}').alive())
        self.assertFalse(hooks.parse(
            self.state_dir, f'{UUID} {os.getpid()}-1').alive())

    def test_scan(self):
        starts.write_state(self.state_dir, UUID, self.me, 4711)
        stale = starts.write_state(self.state_dir, UUID, '999999-1', 4711)
        os.mkfifo(stale.replace('.state', '.go'))
        with open(stale.replace('.state', '.tmp'), 'w'):
            pass
        found, = hooks.scan(self.state_dir)
        self.assertEqual(os.getpid(), found.pid)
        self.assertEqual(4711, found.container_pid())
        self.assertEqual([f'{self.me}.state'], os.listdir(
            plans.hooks_dir(self.state_dir, UUID)))

    def test_scan_waits_for_the_state(self):
        os.mkfifo(os.path.join(
            plans.hooks_dir(self.state_dir, UUID), f'{self.me}.go'))
        self.assertEqual([], list(hooks.scan(self.state_dir)))

    def test_scan_with_strange_files(self):
        with open(os.path.join(self.state_dir, 'instances', 'x'), 'w'):
            pass
        with open(os.path.join(
                plans.hooks_dir(self.state_dir, UUID), 'y.state'), 'w'):
            pass
        self.assertEqual([], list(hooks.scan(self.state_dir)))

    def test_broken_state(self):
        path = starts.write_state(self.state_dir, UUID, self.me, 'x')
        hook, = hooks.scan(self.state_dir)
        self.assertRaises(ValueError, hook.container_pid)
        os.unlink(path)
        self.assertRaises(ValueError, hook.container_pid)

    def test_nobody_hears_the_answer(self):
        hook = hooks.parse(self.state_dir, f'{UUID} {self.me}')
        self.assertFalse(hook.answer(True))
        path = os.path.join(
            plans.hooks_dir(self.state_dir, UUID), f'{self.me}.go')
        os.mkfifo(path)
        self.assertFalse(hook.answer(True))
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 'rb') as fifo:
            self.assertTrue(hook.answer(True))
            self.assertEqual(b'go\n', fifo.read())

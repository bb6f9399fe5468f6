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
import subprocess

import fixtures
from oslotest import base

from nova_docker.cdi import hook
from nova_docker.network import hooks
from nova_docker.network import plans
from tests.fixtures import privsep
from tests.fixtures import starts

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'


class InstallTest(base.BaseTestCase):

    def test_install_and_replace(self):
        state_dir = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'docker')
        hook.install(state_dir)
        paths = [os.path.join(state_dir, name)
                 for name in ('hook.sh', 'system.sh')]
        for path in paths:
            with open(path, 'w') as file:
                file.write('an older one')
        hook.install(state_dir)
        self.assertEqual({'hook.sh', 'system.sh'}, set(os.listdir(state_dir)))
        self.assertEqual(0o700, stat.S_IMODE(os.stat(state_dir).st_mode))
        for path in paths:
            self.assertEqual(0o755, stat.S_IMODE(os.stat(path).st_mode))
            with open(path) as file:
                self.assertEqual('#!/bin/sh\n', file.readline())
        self.assertEqual([paths[0], state_dir, UUID],
                         hook.command(state_dir, UUID))
        self.assertEqual([paths[1]], hook.system_command(state_dir))


class ScriptTest(base.BaseTestCase):
    """The script, with the test as nova-compute."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        hook.install(self.state_dir)
        plans.ensure(self.state_dir, UUID)
        os.mkfifo(plans.requests_path(self.state_dir))

    def _open(self):
        requests = os.open(plans.requests_path(self.state_dir),
                           os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, requests)
        return requests

    def _start(self, **kwargs):
        start = self.useFixture(starts.Start(self.state_dir, UUID, **kwargs))
        starts.wait_until(lambda: start.waiting)
        found, = hooks.scan(self.state_dir)
        return start, found

    def test_go(self):
        requests = self._open()
        start, found = self._start()
        starts.wait_until(lambda: self._readable(requests))
        self.assertEqual(f'{UUID} {found.pid}-{found.started}\n',
                         os.read(requests, 4096).decode())
        self.assertEqual(start.hook.pid, found.pid)
        self.assertEqual(start.container.pid, found.container_pid())
        self.assertTrue(found.answer(True))
        self.assertTrue(start.result())
        self.assertEqual([], start.files())
        self.assertEqual(b'', start.stderr)

    @staticmethod
    def _readable(descriptor):
        import select
        return select.select([descriptor], [], [], 0)[0]

    def test_no(self):
        self._open()
        start, found = self._start()
        self.assertTrue(found.answer(False))
        self.assertIs(False, start.result())
        self.assertIn(b'could not be plugged', start.stderr)
        self.assertEqual([], start.files())
        self.assertFalse(found.answer(True))

    def test_other_writing_of_the_state(self):
        self._open()
        start, found = self._start(
            state='{\n  "ociVersion": "1.0",\n  "pid": %d,\n  "a": "\\\\n"}')
        self.assertEqual(start.container.pid, found.container_pid())

    def test_waits_for_nova_compute(self):
        start, found = self._start()
        self.assertIsNone(start.result(timeout=0.3))
        self._open()
        self.assertTrue(found.answer(True))
        self.assertTrue(start.result())

    def test_gives_up_with_the_container(self):
        self._open()
        start, _found = self._start()
        start.kill_container()
        self.assertIs(False, start.result())
        self.assertEqual([], start.files())

    def test_gives_up_with_the_container_without_nova_compute(self):
        start, _found = self._start()
        start.kill_container()
        self.assertIs(False, start.result())
        self.assertEqual([], start.files())

    def test_killed_by_its_timeout_it_leaves_files_to_sweep(self):
        self._open()
        start, found = self._start()
        start.hook.kill()
        self.assertIs(False, start.result())
        self.assertEqual(2, len(start.files()))
        # Its watch ends, too, and with it the last reader of the FIFO.
        starts.wait_until(lambda: not found.answer(True))
        self.assertEqual([], list(hooks.scan(self.state_dir)))
        self.assertEqual([], start.files())

    def test_fails_without_the_instance(self):
        plans.remove(self.state_dir, UUID)
        self.assertIn('no directory', self._refused('{"pid":1}'))

    def test_fails_without_requests(self):
        os.unlink(plans.requests_path(self.state_dir))
        self.assertIn('no FIFO', self._refused('{"pid":1}'))

    def test_fails_without_a_pid(self):
        self.assertIn('no pid', self._refused('{"id":"c"}'))
        self.assertIn('no pid', self._refused(''))

    def _refused(self, state):
        done = subprocess.run(hook.command(self.state_dir, UUID),
                              input=state, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(1, done.returncode)
        return done.stderr

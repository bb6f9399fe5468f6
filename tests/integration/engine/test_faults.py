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

"""An engine that is away, hangs, dies and comes back."""

import concurrent.futures
import os
import signal
import time

from oslotest import base
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.engine import session
from tests import engine_cases
from tests.fixtures import dockerd
from tests.integration.engine import test_engine


class FaultTest(test_engine.RealCases, base.BaseTestCase):

    def address(self):
        self.dockerd = self.useFixture(dockerd.Dockerd())
        return session.Address(self.dockerd.url, timeout=5)

    def _clean(self):
        """The engine goes with all that it has."""

    def kill(self):
        os.kill(self.dockerd.pid, signal.SIGKILL)

    def restart(self):
        """Bring the engine back after whatever happened."""
        self.dockerd.stop()
        self.dockerd.start()

    def test_stopped_and_started_again(self):
        self.create()
        reader = self.read_events()
        self.dockerd.stop()
        reader.join()
        self.assertIsInstance(reader.error, errors.Unavailable)
        for method, *arguments in (
                ('info',), ('version',), ('events', {}),
                ('list_containers', []), ('create_container', 'x', {}),
                ('start_container', self.name(), 5),
                ('remove_container', self.name()),
                ('container_logs', self.name(), 5), ('list_images', []),
                ('load_image', [b'x'])):
            error = self.assertRaises(
                errors.Unavailable, getattr(self.engine, method), *arguments)
            self.assertIn(self.dockerd.url, str(error))
        self.dockerd.start()
        self.assertEqual('created', self.state(self.name())['Status'])
        self.engine.start_container(self.name(), engine_cases.PATIENCE)
        self.read_events(since=time.time() - 5).wait_for('start')

    def test_killed_while_it_is_used(self):
        request, go = self.gate()
        starting = self.create(HostConfig=request)
        reader = self.read_events()

        def archive():
            yield self.archive('b')[:5000]
            self.kill()
            # Until the connection is seen to be broken.
            for _ in range(1000):
                time.sleep(0.01)
                yield b'x' * 65536

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            start = pool.submit(self.engine.start_container, starting, 60)
            time.sleep(0.5)
            load = pool.submit(self.engine.load_image, archive())
            for request in (start, load):
                self.assertIsInstance(request.exception(60),
                                      errors.Unavailable)
        reader.join()
        self.assertIsInstance(reader.error, errors.Unavailable)
        self.open_gate(go)
        self.restart()
        self.assertEqual([starting], [
            container['Names'][0][1:] for container in self.listed()])
        self.engine.load_image([self.archive('b')])

    def test_hangs(self):
        self.create()
        os.kill(self.dockerd.pid, signal.SIGSTOP)
        try:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                began = time.monotonic()
                asked = [pool.submit(self.listed) for _ in range(8)]
                for request in asked:
                    self.assertIsInstance(request.exception(60),
                                          errors.Timeout)
                taken = time.monotonic() - began
        finally:
            os.kill(self.dockerd.pid, signal.SIGCONT)
        # All at the same time: one after the other it would be 40.
        self.assertThat(taken, matchers.LessThan(30))
        self.assertEqual(1, len(self.listed()))

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

"""What the tests of consoles share: a host with consoles, and its clients."""

import contextlib
import queue
import threading

import fixtures
from oslotest import base

from nova_docker.console import hub
from nova_docker.console import ports
from nova_docker.console import server
from nova_docker.engine import errors
from tests import engine_cases
from tests.fixtures import consoles
from tests.fixtures import engine_terminals


class FakeInstances:
    """The terminals of instances, which are as tests want them.

    :ivar opened: all terminals so far, with how many were open at a time
    :ivar before: what an instance has shown before
    :ivar runs: whether they run
    """

    def __init__(self):
        self.opened = []
        self.closed = queue.Queue()
        self.before = b''
        self.runs = True
        self.error = None
        self.typed = []

    @property
    def source(self):
        return hub.Source(self.open, self.close)

    def open(self, instance):
        if self.error:
            raise self.error
        if not self.runs:
            return None

        def typed(data):
            self.typed.append(data)
            terminal.show(data)
        terminal = engine_terminals.Terminal(typed)
        self.opened.append(terminal)
        return terminal, self.before

    def close(self, terminal):
        terminal.close()
        self.closed.put(terminal)

    def is_open(self):
        return [terminal for terminal in self.opened
                if not terminal.is_closed]


class ConsolesTestCase(base.BaseTestCase):
    """Consoles of a host, on free ports."""

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        self.instances = FakeInstances()
        self.range = consoles.free_range(300)
        self.security = ()
        self.context = None
        self.consoles = self.serve()

    def serve(self, **options):
        made = server.Consoles(
            server.Options(*(ports.Place(
                kind, '127.0.0.1', '127.0.0.1', self.range)
                for kind in ('serial', 'vnc')), **options),
            self.state_dir, self.instances.source)
        made.start()
        self.addCleanup(made.stop)
        return made

    def serial(self, instance='a'):
        client = consoles.SerialClient(
            self.consoles.listen(instance, 'serial'))
        self.addCleanup(client.close)
        return client

    def vnc(self, instance='a', **options):
        client = consoles.VncClient(
            self.consoles.listen(instance, 'vnc'), **options)
        self.addCleanup(client.close)
        return client

    def terminal(self, number=1):
        """The terminal that was opened as this one, soon."""
        engine_cases.wait_until(
            lambda: len(self.instances.opened) >= number)
        return self.instances.opened[number - 1]

    def settle(self):
        """Wait for what the thread was told before."""
        done = threading.Event()
        self.consoles._loop.call(done.set)
        self.assertTrue(done.wait(consoles.PATIENCE))

    def assert_closed(self, client):
        with contextlib.suppress(OSError):
            while client.socket.recv(65536):
                pass

    UNAVAILABLE = errors.Unavailable('gone')

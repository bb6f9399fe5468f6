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

"""Consoles of containers of a real engine."""

import os
import socket
import threading
import types

import fixtures
from oslo_utils.fixture import uuidsentinel as uuids
from oslotest import base

from nova_docker.console import draw
from nova_docker.console import hub
from nova_docker.console import pixels
from nova_docker.console import ports
from nova_docker.console import server
from nova_docker.lifecycle import console
from nova_docker.spec import console as spec_console
from nova_docker.spec import names
from tests import engine_cases
from tests.fixtures import consoles
from tests.fixtures import privsep
from tests.integration.engine import test_engine

#: A shell that says when it is ready.
SHELL = ('sh', '-c', 'PS1="# "; export PS1; exec sh')
FLOOD = b'while :; do echo 0123456789012345678901234567890123456789; done\n'


class ConsolesTest(test_engine.RealCases, base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.services = types.SimpleNamespace(
            engine=self.engine, host='host1',
            options=types.SimpleNamespace(state_dir=self.folder))
        self.range = consoles.free_range()
        self.consoles = self.serve()

    def serve(self):
        """What nova-compute does at its start."""
        places = [ports.Place(kind, '127.0.0.1', '127.0.0.1', self.range)
                  for kind in ('serial', 'vnc')]
        made = server.Consoles(
            server.Options(*places), self.folder,
            hub.Source(lambda uuid: console.open_terminal(
                self.services, uuid), console.close_terminal))
        made.start()
        self.addCleanup(made.stop)
        return made

    def boot(self, name='a', command=(), tty=True, **body):
        return self.start(
            name, Tty=tty, OpenStdin=tty, labels={
                **names.labels(uuids.instance, 'x', 'host1', 'p'),
                **spec_console.label(tty, command)}, **body)

    def serial(self):
        client = consoles.SerialClient(
            self.consoles.listen(uuids.instance, 'serial'))
        self.addCleanup(client.close)
        return client

    def vnc(self, **options):
        client = consoles.VncClient(
            self.consoles.listen(uuids.instance, 'vnc'), **options)
        self.addCleanup(client.close)
        return client

    def test_serial(self):
        self.boot(Cmd=SHELL)
        client = self.serial()
        client.wait_for(b'# ')
        client.send(b'echo $((6 * 7))\n')
        client.wait_for(b'42\r\n')

    def test_several_viewers_and_history(self):
        self.boot(Cmd=('sh', '-c', 'echo early; ' + SHELL[-1]))
        one, two = self.serial(), self.vnc()
        one.wait_for(b'early\r\n')
        one.wait_for(b'# ')
        two.wait_for('early')
        one.send(b'echo a""b\n')
        one.wait_for(b'ab\r\n')
        two.wait_for('ab')
        two.type('echo c""d\n')
        one.wait_for(b'cd\r\n')
        late = self.serial()
        late.wait_for(b'early\r\n')
        late.wait_for(b'ab\r\n')
        late.wait_for(b'cd\r\n')
        one.close()
        late.send(b'echo e""f\n')
        two.wait_for('ef')

    def test_pictures(self):
        self.boot(Cmd=SHELL)
        client = self.vnc()
        client.wait_for('# ')
        self.assertIn(uuids.instance, client.title)
        client.type('printf "%b\\n" "x\\033[1;31mr""ed\\033[0m"\n')
        client.wait_for('red', '\x1b[1;31m')
        client.type('echo ä жα""─\n')
        client.wait_for('ä жα─')
        raw = self.vnc(encodings=(pixels.RAW,))
        raw.wait_for('ä жα─')
        client.key(ord('c'), 0xffe3)
        client.type('echo re""ady; cat -v\n')
        client.wait_for('ready')
        client.key(0xff52)
        client.type('\n')
        client.wait_for('^[[A')

    @staticmethod
    def until(size):
        """A command that waits for a size, and says so."""
        return (f'until [ "$(stty size)" = "{size}" ]; do sleep .1; done; '
                f'clear; echo "$(stty size)."\n')

    def test_resize(self):
        self.boot(Cmd=SHELL)
        client, serial = self.vnc(), self.serial()
        client.wait_for('# ')
        width, height = draw.cell()
        client.resize(100 * width + 3, 30 * height + 5)
        client.type(self.until('30 100'))
        client.wait_for('30 100.')
        self.assertEqual((100 * width, 30 * height), client.image.size)
        serial.send(b'\x1b[8;20;60t')
        serial.send(self.until('20 60').encode())
        serial.wait_for(b'20 60.\r\n')
        client.wait_for('20 60.')
        self.assertEqual((60 * width, 20 * height), client.image.size)

    def test_reboot_and_rescue(self):
        name = self.boot(Cmd=('sh', '-c', 'echo boot; ' + SHELL[-1]))
        serial, vnc = self.serial(), self.vnc()
        serial.wait_for(b'boot\r\n')
        serial.wait_for(b'# ')
        self.engine.stop_container(name, 0)
        serial.wait_for(hub.WAITING)
        self.engine.start_container(name, 60)
        self.assertNotIn(b'# ', serial.wait_for(b'boot\r\n'))
        serial.send(b'echo a""b\n')
        serial.wait_for(b'ab\r\n')
        vnc.wait_for('ab')
        self.engine.stop_container(name, 0)
        self.boot('rescue', Cmd=SHELL)
        serial.wait_for(b'# ')
        serial.send(b'echo c""d\n')
        serial.wait_for(b'cd\r\n')
        vnc.wait_for('cd')

    def test_restart_of_the_service(self):
        self.boot(Cmd=SHELL)
        before = [self.consoles.listen(uuids.instance, kind)
                  for kind in ('serial', 'vnc')]
        client = self.serial()
        client.wait_for(b'# ')
        self.consoles.stop()
        self.assertRaises(AssertionError, client.wait_for, b'never')
        self.consoles = self.serve()
        again = consoles.SerialClient(before[0])
        self.addCleanup(again.close)
        # A log has no line that has not ended.
        again.send(b'echo a""b\n')
        again.wait_for(b'ab\r\n')
        self.assertEqual(before, [
            self.consoles.listen(uuids.instance, kind)
            for kind in ('serial', 'vnc')])

    def test_shell_by_exec(self):
        name = self.boot(command=SHELL, tty=False)
        quiet = len(self.engine.container_top(name)['Processes'])
        client = self.serial()
        client.wait_for(b'# ')
        client.send(b'tty\n')
        client.wait_for(b'/dev/pts/')
        client.send(self.until('24 80').encode())
        client.wait_for(b'24 80.\r\n')
        client.wait_for(b'# ')
        client.send(b'exit\n')
        client.wait_for(b'# ')
        client.send(b'yes\n')
        client.wait_for(b'y\r\ny\r\n')
        client.close()
        engine_cases.wait_until(lambda: len(self.engine.container_top(
            name)['Processes']) <= quiet)

    def test_shells_of_viewers_who_vanish_at_once(self):
        name = self.boot(command=SHELL, tty=False)
        quiet = len(self.engine.container_top(name)['Processes'])
        for _ in range(10):
            self.serial().close()
            engine_cases.wait_until(lambda: not self.consoles._hubs)
        client = self.serial()
        client.wait_for(b'# ')
        client.close()
        engine_cases.wait_until(lambda: len(self.engine.container_top(
            name)['Processes']) <= quiet)

    def test_viewers_who_do_not_read(self):
        name = self.boot(Cmd=SHELL)
        stuck, stuck_too, client = self.serial(), self.vnc(), self.serial()
        client.wait_for(b'# ')
        client.send(FLOOD)
        for _ in range(200):
            client.wait_for(b'456789\r\n')
            client.seen = b''
        client.send(b'\3')
        client.send(b'echo a""b\n')
        client.wait_for(b'ab\r\n')
        client.send(FLOOD)
        client.wait_for(b'456789\r\n')
        self.assertIs(True, self.engine.stop_container(name, 1))
        stuck.close()
        stuck_too.close()

    def test_dropped_in_the_middle(self):
        name = self.boot(Cmd=SHELL)
        doors = [self.consoles.listen(uuids.instance, kind)
                 for kind in ('serial', 'vnc')]
        first = self.serial()
        first.send(FLOOD)
        first.wait_for(b'456789\r\n')
        first.close()
        engine_cases.wait_until(lambda: not self.consoles._hubs)
        before = self.open_files(), threading.active_count()
        for _ in range(25):
            serial, vnc = self.serial(), self.vnc()
            serial.wait_for(b'456789\r\n')
            vnc.update()
            serial.close()
            vnc.close()
        engine_cases.wait_until(lambda: not self.consoles._hubs)
        # What the first console had may have been about to be closed.
        engine_cases.wait_until(lambda: (
            self.open_files() <= before[0]
            and threading.active_count() <= before[1]))
        client = self.serial()
        client.send(b'\3')
        client.send(b'echo a""b\n')
        client.wait_for(b'ab\r\n')
        self.assertIs(True, self.engine.stop_container(name, 1))
        self.consoles.close(uuids.instance)
        self.assertRaises(AssertionError, client.wait_for, b'never')
        self.assertEqual([], self.consoles.ports.known())
        for door in doors:
            self.assertRaises(ConnectionRefusedError,
                              socket.create_connection, door)

    @staticmethod
    def open_files():
        return len(os.listdir('/proc/self/fd'))

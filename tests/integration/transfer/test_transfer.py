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

"""Files of servers from one host to another one, over the loopback.

Both hosts are in this process. Real are the message bus's server, the
programs, TLS, FIFOs, and tar as root.
"""

import filecmp
import functools
import os
import shutil
import signal
import subprocess
from unittest import mock

import fixtures
from nova import context
from nova import exception
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.network import process
from nova_docker.privsep import archive
from nova_docker.privsep import changes
from nova_docker.privsep import layer
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.transfer import outgoing
from nova_docker.transfer import program
from nova_docker.transfer import spool
from tests import engine_cases
from tests.fixtures import privsep


class TransferTestCase(test.NoDBTestCase):
    """A host with files, and one that they go to."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.context = context.get_admin_context()
        self.here, self.there = (
            incoming.Options(
                self.useFixture(fixtures.TempDir()).path, '127.0.0.1', None,
                60) for _host in range(2))
        self.server = control.Server('there', self.there, control.Answers(
            discard=lambda uuid: None, refusals=lambda needs: (),
            has_image=lambda *_: True, load_image=lambda *_: None,
            send_image=lambda *_: '',
            facts=dict, prepare=lambda uuid: None, restore=lambda uuid: None,
            withdraw=lambda uuid: None, mount_paths=lambda uuid: {}))
        self.server.start()
        self.addCleanup(self.server.stop)
        self.files = self.useFixture(fixtures.TempDir()).path
        with open(os.path.join(self.files, 'random'), 'wb') as file:
            file.write(os.urandom(30 << 20))

    def send(self, host='there', meanwhile=lambda: None, **parts):
        """Send parts of a server, and do something when it is stopped."""
        parts = parts or {'root': self.files}
        with outgoing.begun(self.context, host, uuids.instance, parts,
                            self.here, True) as transfer:
            meanwhile()
            return transfer.finish(parts)

    def assert_nothing_left(self):
        for host in self.here, self.there:
            self.assertEqual([], spool._names(host.state_dir))


class TransferTest(TransferTestCase):

    def test_parts(self):
        ephemeral = self.useFixture(fixtures.TempDir()).path
        open(os.path.join(ephemeral, 'file'), 'w').close()
        sent = self.send(root=self.files, ephemeral0=ephemeral)
        self.assertEqual(sent.parts, spool.parts(
            self.there.state_dir, uuids.instance))
        self.assertLess(sent.wire, 1.01 * sum(sent.parts.values()))
        self.assertGreater(sent.wire, sum(sent.parts.values()))
        for name, files in (('root', self.files), ('ephemeral0', ephemeral)):
            target = self.useFixture(fixtures.TempDir()).path
            archive.unpack(spool.path(self.there.state_dir, uuids.instance,
                                      name), target, os.getpid())
            self.assertEqual(os.listdir(files), os.listdir(target))
        self.assertEqual([], os.listdir(spool.directory(
            self.here.state_dir)))

    def test_in_two_passes(self):
        """The second one has what has changed, and no more."""
        self.useFixture(fixtures.MockPatchObject(changes, '_WRITING', 0))
        self.useFixture(fixtures.MockPatchObject(outgoing, '_LARGE', 1))

        def change():
            with open(os.path.join(self.files, 'new'), 'wb') as file:
                file.write(os.urandom(1 << 20))
            os.mkdir(os.path.join(self.files, 'directory'))
        sent = self.send(meanwhile=change)
        self.assertEqual(sent.parts, spool.parts(
            self.there.state_dir, uuids.instance))
        self.assertLess(sent.wire, 1.01 * (31 << 20))
        self.assertLess(sent.parts['root.changes'], 1.1 * (1 << 20))
        target = self.useFixture(fixtures.TempDir()).path
        for name, unpack in (('root', layer.unpack),
                             ('root.changes', layer.change)):
            unpack(spool.path(self.there.state_dir, uuids.instance, name),
                   target, os.getpid())
        found = filecmp.dircmp(self.files, target)
        self.assertEqual(({'random', 'new'}, ['directory'], [], []), (
            set(found.same_files), found.common_dirs, found.left_only,
            found.right_only))
        self.assertEqual([], os.listdir(spool.directory(
            self.here.state_dir)))

    def test_nobody_there(self):
        self.flags(rpc_response_timeout=1)
        error = self.assertRaises(exception.MigrationError, self.send,
                                  host='elsewhere')
        self.assertIn('elsewhere', str(error))


class BrokenTest(TransferTestCase):
    """A transfer that fails says why, and leaves nothing."""

    def when_packing(self, function):
        """Do something when the other host waits for the first part."""
        self.function = function
        for module, name in (archive, 'pack'), (changes, 'pack_first'):
            self.useFixture(fixtures.MockPatchObject(
                module, name, side_effect=functools.partial(
                    self.pack, getattr(module, name))))

    def pack(self, pack, *args):
        self.function()
        pack(*args)

    def assert_fails(self):
        """In each of the passes; the second one is there no more."""
        stop = mock.Mock()
        for large in outgoing._LARGE, 1:
            with fixtures.MockPatchObject(outgoing, '_LARGE', large):
                error = self.assertRaises(
                    exception.MigrationError, self.send, meanwhile=stop)
            self.assert_nothing_left()
        stop.assert_called_once_with()
        return str(error)

    def test_receiver_is_killed(self):
        self.when_packing(lambda: self.server._transfers._programs[
            uuids.instance]._process.kill())
        self.assert_fails()

    def test_sender_is_killed(self):
        made = []
        program_ = program.Program

        def start(name):
            made.append(program_(name))
            return made[-1]
        self.useFixture(fixtures.MockPatchObject(
            outgoing.program, 'Program', side_effect=start))
        self.when_packing(lambda: made[-1].end())
        self.assertIn('it ended: -9', self.assert_fails())

    def test_nova_compute_there_stops(self):
        self.when_packing(self.server._transfers.stop)
        self.assert_fails()

    def test_disk_is_full(self):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none',
                        self.there.state_dir], check=True)
        self.addCleanup(subprocess.run, ['umount', self.there.state_dir],
                        check=True)
        self.useFixture(fixtures.MockPatchObject(
            incoming.shutil, 'disk_usage',
            return_value=shutil._ntuple_diskusage(0, 0, 1 << 40)))
        self.assertIn('No space left', self.assert_fails())


class ParentTest(test.NoDBTestCase):

    def test_programs_end_with_nova_compute(self):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            for name in 'sender', 'receiver':
                made = program.Program(name)
                os.write(write, b'%d ' % made._process.pid)
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(write)
        os.waitpid(pid, 0)
        with open(read) as told:
            pids = told.read().split()
        self.assertEqual(2, len(pids))
        engine_cases.wait_until(lambda: not any(
            process.start_time(int(pid)) for pid in pids))

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
import pathlib
from unittest import mock

import fixtures
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.transfer import outgoing
from nova_docker.transfer import spool
from tests.unit.transfer import base


class SendTest(base.TransferTestCase):

    def test_parts(self):
        sent = self.send()
        self.assertEqual({'root': 3 << 20, 'ephemeral0': 1}, sent.parts)
        self.assertGreater(sent.wire, 3 << 20)
        self.assertLess(sent.wire, 1.02 * (3 << 20))
        for name, path in (('root', '/root'), ('ephemeral0', '/ephemeral')):
            with open(spool.path(self.there.state_dir, uuids.instance, name),
                      'rb') as file:
                self.assertEqual(self.data[path], file.read())

    def test_in_two_passes(self):
        self.useFixture(fixtures.MockPatchObject(outgoing, '_LARGE', 1 << 20))
        sent = self.send(meanwhile=lambda: (
            self.pack_first.assert_called_once(),
            self.pack.assert_not_called()))
        self.assertEqual({'root': 3 << 20, 'root.changes': 16,
                          'ephemeral0': 1}, sent.parts)
        self.assertEqual(
            ['ephemeral0', 'root', 'root.changes'],
            list(spool.parts(self.there.state_dir, uuids.instance)))
        with open(spool.path(self.there.state_dir, uuids.instance,
                             'root.changes')) as file:
            self.assertEqual('changes of /root', file.read())
        self.assertEqual([], os.listdir(spool.directory(
            self.here.state_dir)))

    def test_in_one_pass(self):
        """What does not run, and what is small."""
        self.send()
        with fixtures.MockPatchObject(outgoing, '_LARGE', 1 << 20):
            self.send(runs=False)
        self.survey.assert_not_called()

    def test_in_use_can_not_be_packed(self):
        self.useFixture(fixtures.MockPatchObject(outgoing, '_LARGE', 1 << 20))
        stop = mock.Mock()
        self.pack_first.side_effect = self.fail
        self.fails('bad sector', stop)
        self.survey.side_effect = OSError('no such file')
        self.fails('no such file', stop)
        stop.assert_not_called()

    def test_fails_meanwhile(self):
        def fail():
            raise ValueError('it does not stop')
        self.assertRaises(ValueError, self.send, meanwhile=fail)
        self.assert_nothing_left()

    def test_files(self):
        path = self.useFixture(fixtures.TempDir()).join('file')
        for size in 0, 1, 3 << 20:
            data = os.urandom(size)
            pathlib.Path(path).write_bytes(data)
            with outgoing.begun(self.context, 'there', uuids.instance, {},
                                self.here, True) as transfer:
                transfer.send_file('image', path)
                transfer.send_text('base', 'name')
                transfer.finish({})
            for name, expected in ('image', data), ('base', b'name'):
                self.assertEqual(expected, pathlib.Path(spool.path(
                    self.there.state_dir, uuids.instance,
                    name)).read_bytes())
        self.assertEqual([], os.listdir(spool.directory(
            self.here.state_dir)))

    def test_again(self):
        self.send()
        self.data['/root'] = b'other'
        self.assertEqual(5, self.send().parts['root'])

    def fails(self, reason, meanwhile=lambda: None):
        error = self.assertRaises(exception.MigrationError, self.send,
                                  meanwhile=meanwhile)
        self.assertIn(reason, str(error))
        self.assert_nothing_left()

    def test_can_not_be_packed(self):
        self.pack.side_effect = self.fail
        self.fails('bad sector')

    def fail(self, directory, fifo, *notes):
        self.write(fifo, b'part of it')
        raise OSError('bad sector')

    def test_refused(self):
        self.data['/root'] = range(1 << 60)
        self.fails('MiB are to be moved')

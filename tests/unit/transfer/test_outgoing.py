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

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

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

    def test_again(self):
        self.send()
        self.data['/root'] = b'other'
        self.assertEqual(5, self.send().parts['root'])

    def fails(self, reason):
        error = self.assertRaises(exception.MigrationError, self.send)
        self.assertIn(reason, str(error))
        self.assert_nothing_left()

    def test_can_not_be_packed(self):
        def fail(directory, fifo):
            self.write(fifo, b'part of it')
            raise OSError('bad sector')
        self.pack.side_effect = fail
        self.fails('bad sector')

    def test_larger_than_announced(self):
        self.pack.side_effect = lambda directory, fifo: self.write(
            fifo, bytes((3 << 20) + 1))
        self.fails('root is larger than was announced')

    def test_refused(self):
        self.data['/root'] = range(1 << 60)
        self.fails('MiB are to be moved')

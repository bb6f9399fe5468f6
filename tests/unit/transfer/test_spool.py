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
from oslo_utils.fixture import uuidsentinel as uuids
from oslotest import base

from nova_docker.transfer import spool


class SpoolTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path

    def come(self, uuid=uuids.instance):
        made = spool.begin(self.state_dir, uuid)
        with open(os.path.join(made, 'root'), 'w') as file:
            file.write('data')
        return made

    def test_whole_or_not_at_all(self):
        self.assertEqual({}, spool.parts(self.state_dir, uuids.instance))
        made = self.come()
        self.assertEqual(0o700, os.stat(made).st_mode & 0o777)
        self.assertFalse(spool.complete(self.state_dir, uuids.instance))
        spool.finish(made)
        self.assertTrue(spool.complete(self.state_dir, uuids.instance))
        self.assertEqual({'root': 4}, spool.parts(
            self.state_dir, uuids.instance))
        with open(spool.path(self.state_dir, uuids.instance,
                             'root')) as file:
            self.assertEqual('data', file.read())

    def test_what_came_before_is_removed(self):
        spool.finish(self.come())
        self.assertEqual([], os.listdir(spool.begin(
            self.state_dir, uuids.instance)))
        self.assertFalse(spool.complete(self.state_dir, uuids.instance))

    def test_discard(self):
        for finish in spool.finish, lambda made: None:
            finish(self.come())
            for _again in range(2):
                spool.discard(self.state_dir, uuids.instance)
                self.assertEqual([], os.listdir(spool.directory(
                    self.state_dir)))

    def test_unknown(self):
        self.assertEqual([], spool.unknown(self.state_dir, []))
        for uuid in uuids.instance, uuids.other:
            spool.finish(self.come(uuid))
        self.come(uuids.partly)
        self.assertEqual([uuids.other], spool.unknown(
            self.state_dir, {uuids.instance}))

    def test_clear(self):
        spool.clear(self.state_dir)
        spool.finish(self.come())
        self.come(uuids.partly)
        with spool.fifo(self.state_dir, uuids.instance) as fifo:
            # As of one that was killed.
            os.link(fifo, os.path.join(os.path.dirname(fifo), 'again'))
            spool.clear(self.state_dir)
            self.assertEqual([uuids.instance], os.listdir(
                spool.directory(self.state_dir)))
            os.mkdir(os.path.dirname(fifo))

    def test_names(self):
        for name in 'root', 'ephemeral0', 'root.1', 'checkpoint':
            self.assertTrue(spool.NAME.fullmatch(name))
        for name in '', '..', 'a/b', '.x', 'A', 'a' * 40, 'a\n':
            self.assertFalse(spool.NAME.fullmatch(name))

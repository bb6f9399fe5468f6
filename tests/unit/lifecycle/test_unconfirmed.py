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

from nova_docker.lifecycle import unconfirmed


class UnconfirmedTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path

    def read(self, instance=uuids.instance):
        return unconfirmed.read(self.directory, instance)

    def test_life(self):
        self.assertIsNone(self.read())
        self.assertEqual(set(), unconfirmed.instances(self.directory))
        for move in (unconfirmed.Move('c'), unconfirmed.Move('c', done=True)):
            unconfirmed.write(self.directory, uuids.instance, move)
            self.assertEqual(move, self.read())
            self.assertEqual({uuids.instance},
                             unconfirmed.instances(self.directory))
        self.assertIsNone(self.read(uuids.other))
        for _twice in range(2):
            unconfirmed.drop(self.directory, uuids.instance)
            self.assertIsNone(self.read())

    def test_outlives_a_loss_of_power(self):
        """Without it a revert would take the old container for nobody's."""
        with fixtures.MockPatchObject(
                os, 'fsync', autospec=True) as synced:
            unconfirmed.write(self.directory, uuids.instance,
                              unconfirmed.Move('c'))
        self.assertEqual(2, synced.mock.call_count)

    def test_closed_to_others(self):
        unconfirmed.write(self.directory, uuids.instance,
                          unconfirmed.Move('c'))
        self.assertEqual(0o700, 0o777 & os.stat(
            os.path.join(self.directory, 'unconfirmed')).st_mode)

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

"""Volumes as block devices."""

import dataclasses

import fixtures
from nova import exception
from nova import test

from nova_docker.privsep import device as privileged
from nova_docker.spec import volumes
from nova_docker.volume import device

VOLUME = volumes.Volume(
    'v', '/dev/vdb', {'data': {'access_mode': 'rw'}}, {},
    info={'path': b'/dev/disk/by-id/x'})


class DeviceTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.find = self._patch('find')
        self.find.return_value = ('/dev/sdb', 8, 16)

    def _patch(self, name):
        return self.useFixture(fixtures.MockPatchObject(
            privileged, name, autospec=True)).mock

    def test_identify(self):
        found = device.identify(VOLUME)
        self.find.assert_called_once_with('/dev/disk/by-id/x')
        self.assertEqual(('/dev/sdb', 8, 16, device.boot(),
                          {'path': '/dev/disk/by-id/x'}), (
            found.path, found.major, found.minor, found.boot, found.info))

    def test_check(self):
        found = device.identify(VOLUME)
        device.check(found)
        for change in ({'minor': 17}, {'path': '/dev/sdc'}, {'boot': 'b'}):
            self.assertRaises(exception.InternalError, device.check,
                              dataclasses.replace(found, **change))
        for error in (FileNotFoundError, ValueError):
            self.find.side_effect = error
            self.assertRaises(exception.InternalError, device.check, found)
        # One that never got that far.
        self.assertRaises(exception.InternalError, device.check,
                          dataclasses.replace(VOLUME, info=None))

    def test_claim(self):
        claim = self._patch('claim')
        device.claim(device.identify(VOLUME))
        claim.assert_called_once_with('/dev/sdb', False)

    def test_set_read_only(self):
        privileged_call = self._patch('set_read_only')
        device.set_read_only(device.identify(VOLUME), True)
        privileged_call.assert_called_once_with('/dev/sdb', True)
        privileged_call.side_effect = FileNotFoundError
        device.set_read_only(device.identify(VOLUME), False)

    def test_give_and_take(self):
        node = (12, 'id', 'vdb', 8, 16, 'rwm', 0o660, 6)
        give, take = self._patch('give'), self._patch('take')
        take.return_value = ('dd (3)',)
        found = device.identify(VOLUME)
        device.give(found, 12, 'id')
        give.assert_called_once_with(*node)
        self.assertEqual(['dd (3)'], device.take(found, 12, 'id'))
        take.assert_called_once_with(*node)
        give.side_effect = FileExistsError
        self.assertRaises(exception.DevicePathInUse, device.give, found, 12,
                          'id')

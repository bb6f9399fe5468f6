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
import errno

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

    def test_release(self):
        claim, set_read_only = (self._patch(name) for name in (
            'claim', 'set_read_only'))
        found = device.identify(VOLUME)
        device.release(found, False)
        claim.assert_not_called()
        device.release(found, True)
        claim.assert_called_once_with('/dev/sdb', False)
        set_read_only.assert_not_called()
        device.release(dataclasses.replace(found, connection={
            'data': {'access_mode': 'ro'}}), True)
        claim.assert_called_with('/dev/sdb', True)
        set_read_only.assert_called_once_with('/dev/sdb', False)

    def test_release_of_one_that_is_gone(self):
        claim = self._patch('claim')
        found = device.identify(VOLUME)
        # Its name is another one's since the host was booted.
        device.release(dataclasses.replace(found, boot='before'), True)
        device.release(dataclasses.replace(VOLUME, info=None), True)
        claim.assert_not_called()
        claim.side_effect = OSError(errno.ENXIO, 'gone')
        device.release(found, True)
        claim.side_effect = OSError(errno.EBUSY, 'mounted')
        self.assertRaises(OSError, device.release, found, True)

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

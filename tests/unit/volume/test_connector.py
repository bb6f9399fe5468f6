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

"""What os-brick is asked for."""

import dataclasses
from unittest import mock

import fixtures
from nova import exception
from nova import test
from os_brick import exception as brick_exception
from os_brick.initiator import connector as brick

from nova_docker.spec import volumes
from nova_docker.volume import connector

OPTIONS = connector.Options(True, False, 7, 'bnx2i')


def volume(kind='iscsi', **data):
    return volumes.Volume('v', '/dev/vdb', {
        'driver_volume_type': kind, 'data': data}, {}, info={'path': '/dev/x'})


class ConnectorTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.factory = self.useFixture(fixtures.MockPatchObject(
            brick.InitiatorConnector, 'factory', autospec=True)).mock
        self.made = self.factory.return_value

    def test_options(self):
        self.made.connect_volume.return_value = {'path': '/dev/sdb'}
        for kind, more in (('iscsi', {'transport': 'bnx2i'}),
                           ('rbd', {'do_local_attach': True}),
                           ('fibre_channel', {}), ('NVMEOF', {})):
            self.assertEqual({'path': '/dev/sdb'},
                             connector.connect(OPTIONS, volume(kind)))
            self.factory.assert_called_with(
                kind.lower(), mock.ANY, use_multipath=True,
                device_scan_attempts=7, enforce_multipath=False, **more)

    def test_kinds(self):
        """Each that is taken is one of os-brick's."""
        for kind in connector._KINDS:
            self.assertIn(kind.upper(), brick._connector_mapping_linux)
            connector.check(volume(kind))
        for kind in ('nfs', 'vzstorage', 'vmdk', 'fake', None):
            self.assertRaises(exception.VolumeDriverNotFound,
                              connector.check, volume(kind))

    def test_the_data_stays_as_it_is(self):
        self.made.connect_volume.side_effect = (
            lambda data: data['list'].append(1))
        one = volume(list=[])
        connector.connect(OPTIONS, one)
        self.assertEqual([], one.connection['data']['list'])

    def test_disconnect(self):
        for force in (False, True):
            connector.disconnect(OPTIONS, volume(lun=1), force)
            self.made.disconnect_volume.assert_called_with(
                {'lun': 1}, {'path': '/dev/x'}, force=force,
                ignore_errors=force)

    def test_disconnected_already(self):
        self.made.disconnect_volume.side_effect = (
            brick_exception.VolumeDeviceNotFound(device='/dev/x'))
        connector.disconnect(OPTIONS, volume())
        self.made.disconnect_volume.side_effect = OSError('no')
        self.assertRaises(OSError, connector.disconnect, OPTIONS, volume())

    def test_extend(self):
        self.made.extend_volume.return_value = 5
        self.assertEqual(5, connector.extend(OPTIONS, volume(lun=1)))
        self.made.extend_volume.assert_called_once_with({'lun': 1})

    def test_properties(self):
        with mock.patch.object(brick, 'get_connector_properties',
                               autospec=True) as properties:
            for multipath in (False, True):
                connector.properties(
                    dataclasses.replace(OPTIONS, multipath=multipath),
                    '192.0.2.1', 'host1')
                properties.assert_called_with(
                    mock.ANY, '192.0.2.1', multipath, enforce_multipath=True,
                    host='host1')

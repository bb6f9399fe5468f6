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


import json

from oslotest import base

from nova_docker.cdi import spec

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'


class SpecTest(base.BaseTestCase):

    def test_hook(self):
        built = spec.build(UUID, ['/s/hook.sh', '/s', UUID], ['/s/system.sh'],
                           60)
        self.assertEqual('0.6.0', built['cdiVersion'])
        self.assertEqual('nova-docker.openstack.org/instance', built['kind'])
        device, system, nesting = built['devices']
        self.assertEqual(UUID, device['name'])
        self.assertEqual({'hooks': [{
            'hookName': 'createRuntime', 'path': '/s/hook.sh',
            'args': ['/s/hook.sh', '/s', UUID], 'timeout': 60}]},
            device['containerEdits'])
        self.assertEqual({
            'name': f'{UUID}-system', 'containerEdits': {'hooks': [{
                'hookName': 'createRuntime', 'path': '/s/system.sh',
                'args': ['/s/system.sh'], 'timeout': 60}]}}, system)
        self.assertEqual({
            'name': f'{UUID}-nesting', 'containerEdits': {'hooks': [{
                'hookName': 'createRuntime', 'path': '/s/system.sh',
                'args': ['/s/system.sh', 'all'], 'timeout': 60}]}}, nesting)

    def test_class_has_more_than_one_character(self):
        # A class of one panics dockerd 26.1 and 28.5.
        kind = spec.build(UUID, ['/h'], ['/s'], 1)['kind']
        self.assertGreater(len(kind.partition('/')[2]), 1)

    def test_devices_and_mounts(self):
        node = {'path': '/dev/vdb', 'hostPath': '/dev/sdx'}
        mount = {'hostPath': '/a', 'containerPath': '/b'}
        edits = spec.build(UUID, ['/h'], ['/s'], 1, [node],
                           [mount])['devices'][0]['containerEdits']
        self.assertEqual([node], edits['deviceNodes'])
        self.assertEqual([mount], edits['mounts'])

    def test_instance_uuid(self):
        built = json.loads(json.dumps(spec.build(
            f'{UUID}-rescue', ['/h', 'x', UUID], ['/s'], 1)))
        self.assertEqual(UUID, spec.instance_uuid(built, '/h'))
        self.assertIsNone(spec.instance_uuid(built, '/other'))
        self.assertIsNone(spec.instance_uuid(
            dict(built, kind='nvidia.com/gpu'), '/h'))
        for other in (None, [], {}, {'devices': []}, {'devices': [1]}, 'x',
                      {'devices': [{}], 'kind': built['kind']}):
            self.assertIsNone(spec.instance_uuid(other, '/h'), other)

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
import os

import fixtures
from oslotest import base

from nova_docker.cdi import store
from nova_docker.spec import names
from tests.fixtures import privsep

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'
OTHER = '6d6b5ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'


class StoreTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.directory = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'run', 'cdi')

    def test_write_again_and_remove(self):
        store.write(self.directory, UUID, '/state', 60)
        store.write(self.directory, UUID, '/state', 61,
                    mounts=[{'hostPath': '/a', 'containerPath': '/b'}])
        name, = os.listdir(self.directory)
        self.assertEqual(f'nova-docker-{UUID}.json', name)
        with open(os.path.join(self.directory, name)) as file:
            edits = json.load(file)['devices'][0]['containerEdits']
        self.assertEqual(61, edits['hooks'][0]['timeout'])
        self.assertEqual(['/state/hook.sh', '/state', UUID],
                         edits['hooks'][0]['args'])
        self.assertEqual('/b', edits['mounts'][0]['containerPath'])
        store.write(self.directory, UUID, '/state', 60, rescue=True)
        with open(os.path.join(self.directory, name)) as file:
            device = json.load(file)['devices'][0]
        self.assertEqual(names.device(UUID, True), device['name'])
        self.assertEqual({UUID}, store.instances(self.directory, '/state'))
        store.remove(self.directory, UUID)
        store.remove(self.directory, UUID)
        self.assertEqual([], os.listdir(self.directory))

    def test_set_volumes(self):
        store.set_volumes(self.directory, UUID, [{'path': '/dev/vdb'}], [],
                          '/mounted')
        self.assertFalse(os.path.exists(self.directory))
        store.write(self.directory, UUID, '/state', 60,
                    mounts=[{'hostPath': '/a'}])
        path, = os.scandir(self.directory)
        with open(path) as file:
            before = json.load(file)
        mounted = [{'hostPath': '/mounted/id'}]
        for nodes, mounts in (
                ([{'path': '/dev/vdb'}], []),
                ([{'path': '/dev/vdc'}], mounted), ([], mounted), ([], [])):
            store.set_volumes(self.directory, UUID, nodes, mounts, '/mounted')
            with open(path) as file:
                after = json.load(file)
            self.assertEqual(nodes, after['devices'][0]['containerEdits'].pop(
                'deviceNodes', []))
            edits = after['devices'][0]['containerEdits']
            self.assertEqual([{'hostPath': '/a'}, *mounts], edits['mounts'])
            edits['mounts'] = edits['mounts'][:1]
            self.assertEqual(before, after)

    def test_instances_are_those_of_this_nova_compute(self):
        self.assertEqual(set(), store.instances(self.directory, '/state'))
        store.write(self.directory, UUID, '/state', 60)
        store.write(self.directory, OTHER, '/elsewhere', 60)
        for name, text in (('nvidia.json', '{"kind": "nvidia.com/gpu"}'),
                           ('broken.json', '{'), ('notes.txt', '')):
            with open(os.path.join(self.directory, name), 'w') as file:
                file.write(text)
        os.mkdir(os.path.join(self.directory, 'dir.json'))
        self.assertEqual({UUID}, store.instances(self.directory, '/state'))

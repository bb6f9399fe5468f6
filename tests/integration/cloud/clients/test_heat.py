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

"""A server's life in a stack of Heat."""

import requests

from evalcloud import settings
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.clients import base

_TEMPLATE = str(base.FOLDER / 'stack.yaml')


class HeatTest(base.ClientTestCase):

    def setUp(self):
        cloud = settings.load(cloud_base.state_dir())
        if 'heat' not in cloud.more:
            self.skipTest('the cloud has no Heat: tools/cloud up --with heat')
        super().setUp()
        self.heat = self.cloud.orchestration

    def _parameters(self, **others):
        return {'template_file': _TEMPLATE, 'rollback': False,
                'timeout': 600, 'server_name': self.name,
                'image': 'busybox', 'flavor': 'm1.nano', 'role': 'first',
                'public_key': self.key_file.read_text(), **others}

    def _wait(self, status):
        """Wait for a status; the outputs that the stack has then."""
        def reached():
            now = self.heat.get_stack(self.name)
            if now.status.endswith('_FAILED'):
                raise AssertionError(f'{now.status}: {now.status_reason}')
            return now if now.status == status else None
        stack = cloud_base.wait_for(f'stack {status}', reached, 300)
        return {each['output_key']: each['output_value']
                for each in stack.outputs}

    def _delete(self):
        self.cloud.delete_stack(self.name)
        cloud_base.wait_for('the stack is gone', lambda: (
            self.cloud.get_stack(self.name, resolve_outputs=False) is None),
            300)

    def test_life(self):
        self.addCleanup(self._delete)
        self.cloud.create_stack(self.name, **self._parameters())
        made = self._wait('CREATE_COMPLETE')
        server = self.compute.get_server(made['server'])
        self.assertEqual('first', server.metadata['role'])
        self.check(server, made['address'], made['volume'])
        self._signal(made)
        self.cloud.update_stack(self.name, **self._parameters(
            role='second', flavor='m1.tiny'))
        self.assertEqual(made['server'], self._wait(
            'UPDATE_COMPLETE')['server'])
        server = self.compute.get_server(made['server'])
        self.assertEqual(('second', 'm1.tiny'), (
            server.metadata['role'], server.flavor.original_name))
        self.check(server, made['address'], made['volume'])
        self._delete()
        self.assertEqual([], self.containers(server))

    def _signal(self, made):
        """Signal as a program of the server would, by a user of its own."""
        signalled = requests.post(
            made['endpoint'], json={'status': 'SUCCESS', 'id': '1'},
            headers={'X-Auth-Token': made['token']}, timeout=60)
        self.assertEqual(200, signalled.status_code, signalled.text)
        stack = self.heat.get_stack(self.name)
        found = self.heat.get(f'/stacks/{stack.name}/{stack.id}/resources/'
                              'signalled/metadata').json()
        self.assertEqual('SUCCESS', found['metadata']['1']['status'])

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


import types
from unittest import mock

from openstack import exceptions
from openstack.image.v2 import _proxy
from openstack.image.v2 import metadef_namespace
from oslotest import base

from nova_docker.osc import metadefs
from nova_docker.spec import environment
from nova_docker.spec import extra_specs


class NamespacesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.flavor, self.image = metadefs.namespaces()

    def test_every_extra_spec(self):
        names = {each['name'] for each in self.flavor['properties']}
        self.assertIn('docker:ulimit_nofile', names)
        self.assertIn('docker:sysctl_net.core.somaxconn', names)
        for template in extra_specs.SPECS:
            fixed = template.partition(extra_specs.PARAMETER)[0]
            self.assertTrue(any(name.startswith(fixed) for name in names))
        self.assertEqual('OS::Nova::Flavor', self.flavor['resource_type'])

    def test_what_is_offered_is_taken(self):
        values = {'integer': lambda each: str(each['minimum']),
                  'boolean': lambda each: 'true'}
        for each in self.flavor['properties']:
            if each['type'] in values:
                extra_specs.parse_one(
                    each['name'], values[each['type']](each))
            else:
                # Known names, at least.
                try:
                    extra_specs.parse_one(each['name'], '')
                except ValueError as error:
                    self.assertNotIn('unknown', str(error))

    def test_every_property_of_images(self):
        self.assertEqual(
            {f'docker_{name}' for name in (
                *environment._CONFIG, *environment._HEALTHCHECK,
                *environment._HOST_CONFIG, *environment._ELSEWHERE)},
            {each['name'] for each in self.image['properties']})

    def test_all_are_described(self):
        for namespace in (self.flavor, self.image):
            for each in namespace['properties']:
                self.assertTrue(each['title'] and each['description'])
                self.assertLessEqual(len(each['name']), 80)


class LoadTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.create_autospec(_proxy.Proxy, instance=True)
        self.command = metadefs.LoadMetadefs(types.SimpleNamespace(
            client_manager=types.SimpleNamespace(docker=self.client)), None)

    def run_command(self):
        parser = self.command.get_parser('openstack docker metadefs load')
        self.command.take_action(parser.parse_args([]))

    def test_first_time(self):
        self.run_command()
        self.assertEqual(
            {'OS::Compute::DockerFlavor', 'OS::Compute::DockerImage'},
            {call.kwargs['namespace'] for call in
             self.client.create_metadef_namespace.call_args_list})
        self.client.update_metadef_namespace.assert_not_called()
        self.client.create_metadef_property.assert_any_call(
            'OS::Compute::DockerFlavor', name='docker:pids_limit',
            title='pids_limit', type='integer', minimum=16, maximum=4194304,
            description=mock.ANY)

    def test_again(self):
        for name in ('namespace', 'resource_type_association'):
            getattr(self.client, f'create_metadef_{name}').side_effect = (
                exceptions.ConflictException())
        self.client.get_metadef_namespace.return_value = (
            metadef_namespace.MetadefNamespace(
                visibility='private', owner='them', is_protected=True))
        self.run_command()
        self.assertEqual(2, self.client.update_metadef_namespace.call_count)
        for call in self.client.update_metadef_namespace.call_args_list:
            self.assertEqual(
                ('private', 'them', True),
                tuple(call.kwargs[name] for name in (
                    'visibility', 'owner', 'is_protected')))
        order = [call[0] for call in self.client.method_calls]
        self.assertLess(order.index('delete_all_metadef_properties'),
                        order.index('create_metadef_property'))

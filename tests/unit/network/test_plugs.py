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
from nova import exception
from nova.network import model
from nova import test
from nova.tests.unit import fake_instance

from nova_docker.network import plans
from nova_docker.network import plugs
from nova_docker.network import vif
from tests.unit.network import test_vif

SECOND = 'cccccccc-1111-4222-8333-444444444444'


class PlugsTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        self.instance = fake_instance.fake_instance_obj(None)
        for name in ('plug', 'unplug'):
            setattr(self, name, self.useFixture(fixtures.MockPatchObject(
                vif, name, autospec=True)).mock)
        self.first, self.second = (
            test_vif.make_vif(), test_vif.make_vif(SECOND))

    def unplugged(self):
        """The ports of the last unplug."""
        (_instance, vifs), _none = self.unplug.call_args
        self.assertTrue(all(isinstance(each, model.VIF) for each in vifs))
        return vifs

    def unplug_all(self, vifs=()):
        plugs.unplug_all(self.state_dir, self.instance, vifs)
        return self.unplugged()

    def test_plug(self):
        self.assertEqual(self.plug.return_value, plugs.plug(
            self.state_dir, self.instance, [self.first]))
        self.plug.assert_called_once_with(self.instance, [self.first], False)
        self.assertEqual([self.first], self.unplug_all())
        self.assertEqual([], self.unplug_all())

    def test_kept_before_it_is_plugged(self):
        self.plug.side_effect = lambda *args: self.assertEqual(
            [self.first], self.unplug_all())
        plugs.plug(self.state_dir, self.instance, [self.first])
        self.plug.assert_called_once()

    def test_one_more(self):
        plugs.plug(self.state_dir, self.instance, [self.first])
        plugs.plug(self.state_dir, self.instance, [self.second], True)
        self.assertEqual([self.first, self.second], self.unplug_all())

    def test_what_is_not_asked_for_goes_before_a_start(self):
        plugs.plug(self.state_dir, self.instance, [self.first, self.second])
        plugs.plug(self.state_dir, self.instance, [self.second])
        self.assertEqual([self.first], self.unplugged())
        self.assertEqual([self.second], self.unplug_all())

    def test_as_it_was_plugged(self):
        plugs.plug(self.state_dir, self.instance, [self.first])
        elsewhere = test_vif.make_vif(type='unbound')
        for unplug in (plugs.unplug, plugs.unplug_all):
            plugs.plug(self.state_dir, self.instance, [self.first])
            unplug(self.state_dir, self.instance, [elsewhere])
            self.assertEqual([self.first], self.unplugged())

    def test_unplug_one(self):
        plugs.plug(self.state_dir, self.instance, [self.first, self.second])
        plugs.unplug(self.state_dir, self.instance, [self.second])
        self.assertEqual([self.second], self.unplugged())
        self.assertEqual([self.first], self.unplug_all())

    def test_kept_until_it_is_unplugged(self):
        plugs.plug(self.state_dir, self.instance, [self.first])
        self.unplug.side_effect = exception.InternalError('no OVSDB')
        self.assertRaises(exception.InternalError, plugs.unplug,
                          self.state_dir, self.instance, [self.first])
        plugs.plug(self.state_dir, self.instance, [])
        self.unplug.side_effect = None
        self.assertEqual([self.first], self.unplug_all())

    def test_nothing_is_kept_of_an_instance_without_ports(self):
        self.unplug_all(None)
        self.assertEqual([], self.unplug_all([]))
        self.assertEqual([self.first], self.unplug_all([self.first]))
        plugs.plug(self.state_dir, self.instance, [])
        self.assertFalse(os.path.exists(plans.instance_dir(
            self.state_dir, self.instance.uuid)))

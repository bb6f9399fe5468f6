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

from nova import objects
from oslotest import base

from nova_docker.spec import watchdog


def action(flavor=None, image=None):
    return watchdog.action(
        {'hw:watchdog_action': flavor} if flavor else {},
        objects.ImageMetaProps.from_dict(
            {'hw_watchdog_action': image} if image else {}))


class ActionTest(base.BaseTestCase):

    def test_of_the_flavor(self):
        for value in ('pause', 'poweroff', 'reset'):
            self.assertEqual(value, action(value))

    def test_nothing(self):
        for value in (None, 'none', 'disabled'):
            self.assertIsNone(action(value))

    def test_image_wins(self):
        self.assertEqual('reset', action('pause', 'reset'))
        self.assertIsNone(action('pause', 'none'))
        self.assertEqual('pause', action(None, 'pause'))

    def test_unknown(self):
        error = self.assertRaises(ValueError, action, 'dump')
        self.assertIn('dump', str(error))

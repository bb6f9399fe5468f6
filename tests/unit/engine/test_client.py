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

import inspect

from oslotest import base

from nova_docker.engine import client
from nova_docker.engine import session
from tests.fixtures import engine


class SeamTest(base.BaseTestCase):
    """Both engines can stand for each other."""

    def test_signatures(self):
        names = client.Engine.__abstractmethods__
        self.assertIn('start_container', names)
        for name in names:
            wanted = inspect.signature(getattr(client.Engine, name))
            for kind in (session.Session, engine.FakeEngine):
                self.assertEqual(
                    wanted, inspect.signature(getattr(kind, name)),
                    f'{kind.__name__}.{name}')

    def test_has_nothing_of_its_own(self):
        public = {name for name in vars(session.Session)
                  if not name.startswith('_')}
        self.assertEqual(set(client.Engine.__abstractmethods__), public)

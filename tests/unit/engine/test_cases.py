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

"""The fake engine keeps to the cases that the real one passes."""

import functools

import fixtures
from oslotest import base

from tests import engine_cases
from tests.fixtures import engine


class FakeEngineTest(engine_cases.AllCases, base.BaseTestCase):
    def make_engine(self):
        cdi_dir = self.useFixture(fixtures.TempDir()).path
        return engine.FakeEngine(
            functools.partial(engine_cases.run_hooks, cdi_dir), cdi_dir)

    def write(self, output, code=0, tty=False):
        name = self.start('writer', Tty=tty)
        self.engine.write_log(name, output)
        self.engine.exit(name, code)
        return name

    def run_out_of_memory(self):
        name = self.start('hungry')
        self.engine.exit(name, oom=True)
        return name

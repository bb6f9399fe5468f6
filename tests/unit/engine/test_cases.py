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
import threading

import fixtures
from oslotest import base
from testtools import matchers

from nova_docker.engine import errors
from tests import engine_cases
from tests.fixtures import engine


class FakeCases(engine_cases.Cases):

    def make_engine(self):
        cdi_dir = self.useFixture(fixtures.TempDir()).path
        return engine.FakeEngine(
            functools.partial(engine_cases.run_hooks, cdi_dir), cdi_dir)

    def write(self, output, code=0, tty=False):
        name = self.start('writer', Tty=tty)
        self.engine.write_log(name, output)
        self.engine.exit(name, code)
        return name

    def start_that_wrote(self, **body):
        name = self.start(**body)
        self.engine.write_file(name, 'written', b'written')
        return name

    def run_out_of_memory(self):
        name = self.start('hungry')
        self.engine.exit(name, oom=True)
        return name

    def become_unhealthy(self):
        name = self.start('sick')
        self.engine.probe(name, False)
        self.engine.probe(name, False)
        return name


class FakeEngineTest(FakeCases, engine_cases.AllCases, base.BaseTestCase):
    """All cases."""


class NamesTest(base.BaseTestCase):

    def test_no_case_hides_another(self):
        names = [name for cases in engine_cases.AllCases.__bases__
                 for name in vars(cases) if name.startswith('test_')]
        self.assertEqual(sorted(set(names)), sorted(names))


class FaultTest(FakeCases, base.BaseTestCase):
    """What tests can do to the fake."""

    def setUp(self):
        super().setUp()
        self.created = self.create('created')

    def test_fail_next(self):
        error = errors.Unavailable('gone')
        self.engine.fail_next('start_container', error)
        self.assertIs(error, self.assertRaises(
            errors.Unavailable, self.engine.start_container, self.created, 5))
        self.assertEqual('created', self.state(self.created)['Status'])
        self.assertIs(True, self.engine.start_container(self.created, 5))

    def test_fail_after_the_deed(self):
        self.engine.fail_next('create_container', errors.Timeout('late'),
                              after=True)
        self.assertRaises(errors.Timeout, self.create)
        self.assertEqual(['a', 'created'], self.names_of(self.listed()))

    def test_hang(self):
        self.engine.timeout = 0.1
        with self.engine.hang('info'):
            self.assertRaises(errors.Timeout, self.engine.info)
            self.engine.version()
        self.engine.info()

    def test_hang_that_ends(self):
        infos = []
        asking = threading.Thread(
            target=lambda: infos.append(self.engine.info()))
        with self.engine.hang('info'):
            asking.start()
            asking.join(0.1)
            self.assertEqual([], infos)
        asking.join(engine_cases.PATIENCE)
        self.assertThat(infos, matchers.HasLength(1))

    def test_go_down(self):
        self.start()
        reader = self.read_events(since=0)
        reader.wait_for('create', 'create', 'start')
        self.engine.go_down()
        reader.join()
        self.assertIsInstance(reader.error, errors.Unavailable)
        self.assertRaises(errors.Unavailable, self.engine.info)
        # Containers die without the engine being there to tell.
        self.engine.exit(self.name(), 3)
        self.engine.come_up()
        self.assertEqual(3, self.state(self.name())['ExitCode'])

    def test_on_start(self):
        seen = []
        self.engine.on_start = seen.append
        self.engine.start_container(self.created, 5)
        self.assertEqual(f'/{self.created}', seen[0]['Name'])
        self.assertEqual(self.mark, seen[0]['Config']['Labels']['case'])
        self.assertEqual(self.state(self.created)['Pid'],
                         seen[0]['State']['Pid'])

    def test_calls(self):
        self.engine.inspect_container(self.created)
        self.assertEqual(('inspect_container', (self.created,)),
                         self.engine.calls[-1])

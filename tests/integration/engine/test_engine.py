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

"""The cases of the seam on the real engine."""

import functools
import tracemalloc

from oslotest import base
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.engine import session
from tests import engine_cases
from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.fixtures import tls

_layer = functools.cache(dockerd.busybox_layer)


class RealCases(engine_cases.Cases):

    @property
    def layer(self):
        return _layer()

    def make_engine(self):
        return session.Session(self.address())

    def address(self):
        return session.Address(dockerd.url())

    def write(self, output, code=0, tty=False):
        name = self.start('writer', Tty=tty, Env=[
            'OUTPUT=' + output.decode()], Cmd=[
                'sh', '-c', f'printf %s "$OUTPUT"; exit {code}'])
        self.wait_for_exit(name)
        # A busy engine tells of the exit before it has read all output.
        engine_cases.wait_until(lambda: len(
            self.engine.container_logs(name, 1 << 20)) >= len(output))
        return name

    def start_that_wrote(self, **body):
        name = self.start(Cmd=['sh', '-c', 'echo written > /written; '
                               'echo done; while :; do sleep 1; done'],
                          **body)
        engine_cases.wait_until(
            lambda: b'done' in self.engine.container_logs(name, 100))
        return name

    def run_out_of_memory(self):
        limits = {'Memory': 1 << 24, 'MemorySwap': 1 << 24}
        name = self.start('hungry', HostConfig=limits, Cmd=[
            'sh', '-c', busybox.HUNGRY])
        self.wait_for_exit(name)
        return name

    def become_unhealthy(self):
        name = self.start('sick', Healthcheck={
            'Test': ['CMD-SHELL', 'exit 1'], 'Interval': 10**9,
            'Timeout': 10**10, 'Retries': 1})
        engine_cases.wait_until(
            lambda: self.state(name)['Health']['Status'] == 'unhealthy')
        return name


class RealEngineTest(RealCases, engine_cases.AllCases, base.BaseTestCase):
    """Over the socket."""

    def test_log_of_one_long_line(self):
        name = self.start('writer', Cmd=[
            'sh', '-c', 'yes | head -c 15000000 | tr -d "\\n"; echo end'])
        self.wait_for_exit(name)
        engine_cases.wait_until(
            lambda: self.engine.container_logs(name, 4) == b'end\n')
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(b'y' * 99996 + b'end\n',
                         self.engine.container_logs(name, 100000))
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(4 << 20))


class TLSEngineTest(RealCases, engine_cases.LogCases,
                    engine_cases.TerminalCases, engine_cases.ImageCases,
                    engine_cases.CommitCases, engine_cases.EventCases,
                    engine_cases.HostCases, base.BaseTestCase):
    """What is streamed, over TLS."""

    def address(self):
        authority = self.useFixture(tls.Authority())
        proxy = self.useFixture(tls.Proxy(
            dockerd.url(), authority.server(client=True)))
        return session.Address(
            proxy.url, authority.ca_file, *authority.issue('client'))

    def test_load_of_bad_archives(self):
        # Told before it has all, the client sees the connection break.
        self.assertRaises(errors.BadRequest, self.engine.load_image, [b'x'])
        self.assertRaises(errors.EngineError, self.engine.load_image,
                          [b'x' * 65536] * 1000)

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

from oslotest import base

from nova_docker.engine import session
from tests import engine_cases
from tests.fixtures import dockerd

_layer = functools.cache(dockerd.busybox_layer)


class RealEngineTest(engine_cases.AllCases, base.BaseTestCase):

    @property
    def layer(self):
        return _layer()

    def make_engine(self):
        return session.Session(session.Address(dockerd.url()))

    def write(self, output, code=0, tty=False):
        name = self.start('writer', Tty=tty, Env=[
            'OUTPUT=' + output.decode()], Cmd=[
                'sh', '-c', f'printf %s "$OUTPUT"; exit {code}'])
        self.wait_for_exit(name)
        return name

    def run_out_of_memory(self):
        limits = {'Memory': 1 << 24, 'MemorySwap': 1 << 24}
        name = self.start('hungry', HostConfig=limits, Cmd=[
            'sh', '-c', 'x=a; while :; do x=$x$x; done'])
        self.wait_for_exit(name)
        return name

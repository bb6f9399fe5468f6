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

"""How the disks of real hosts are held to their sizes."""

from nova_docker.spec import disk
from nova_docker.volume import limit
from tests.fixtures import btrfs_engine
from tests.integration.volume import base


class BtrfsTestCase(base.ClassicStore):
    """The storage driver has sizes of its own."""

    def engine_url(self):
        return self.useFixture(btrfs_engine.BtrfsEngine()).url

    def test_full(self):
        self.assertEqual('engine', limit.detect(
            self.engine, None, '/absent/disks'))
        output = ' '.join(self.run_container(
            'dd if=/dev/zero of=/full bs=1M count=1200 2>&1; rm /full; '
            'echo more > /more && cat /more', 'full',
            **disk.host_config(disk.ENGINE, 1))[1])
        self.assertIn('quota exceeded', output)
        self.assertNotIn('1200+0 records out', output)
        self.assertIn('more', output)

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

from oslotest import base

from nova_docker.spec import disk


class DiskTest(base.BaseTestCase):

    def test_kind(self):
        for kind in (disk.ENGINE, disk.FILESYSTEM, disk.UNLIMITED):
            self.assertEqual(kind, disk.kind(kind, 1))
            self.assertEqual(disk.UNLIMITED, disk.kind(kind, 0))

    def test_host_config(self):
        self.assertEqual({'StorageOpt': {'size': '20G'}},
                         disk.host_config(disk.ENGINE, 20))
        self.assertEqual({}, disk.host_config(disk.FILESYSTEM, 20))
        self.assertEqual({}, disk.host_config(disk.UNLIMITED, 20))

    def test_ephemeral_sizes(self):
        for flavor, asked, sizes in (
                (0, None, []), (4, None, [4]), (4, {}, [4]),
                (4, {'ephemerals': []}, [4]),
                (4, {'ephemerals': [{'size': 1}, {'size': 2}]}, [1, 2])):
            self.assertEqual(sizes, disk.ephemeral_sizes(flavor, asked))

    def test_ephemeral_paths(self):
        self.assertEqual(['/mnt/ephemeral0', '/mnt/ephemeral1'],
                         disk.ephemeral_paths(2))

    def test_swap(self):
        for asked, size in ((None, 64), ({'swap': None}, 64),
                            ({'swap': {'swap_size': 16}}, 16)):
            self.assertEqual(size, disk.swap_mb(64, asked))

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


from oslo_config import cfg
from oslotest import base

from nova_docker import conf


class OptionsTest(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.conf = cfg.ConfigOpts()
        self.conf.register_opt(cfg.StrOpt('state_path', default='/var/nova'))
        conf.register_opts(self.conf)
        self.conf([], default_config_files=[], default_config_dirs=[])

    def test_registers_again(self) -> None:
        conf.register_opts(self.conf)

    def test_all_options_are_listed(self) -> None:
        listed = {opt.dest for _, opts in conf.list_opts()
                  for opt in opts}
        self.assertEqual(listed, set(self.conf.docker))

    def test_help_begins_with_a_capital_and_ends_with_a_stop(self) -> None:
        for _, opts in conf.list_opts():
            for opt in opts:
                text = opt.help.strip()
                self.assertTrue(text[0].isupper(), opt.name)
                self.assertEqual('.', text[-1], opt.name)

    def test_address_of_the_engine(self) -> None:
        for url in ('unix:///run/docker.sock', 'tcp://127.0.0.1:2376',
                    'https://engine:2376'):
            self.conf.set_override('url', url, group='docker')
        for url in ('/run/docker.sock', 'ssh://root@engine', 'http://x:1'):
            self.assertRaises(ValueError, self.conf.set_override,
                              'url', url, group='docker')

    def test_state_is_below_novas(self) -> None:
        self.assertEqual('/var/nova/docker', self.conf.docker.state_dir)

    def test_the_engine_is_verified_unless_told_otherwise(self) -> None:
        self.assertIs(True, self.conf.docker.tls_verify)

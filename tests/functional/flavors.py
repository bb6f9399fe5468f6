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

"""A host and flavors that say more than others."""

from tests.functional import base


class FlavorTestCase(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        # As of clients that are of today.
        self.admin_api.microversion = 'latest'

    def add(self, **specs):
        """Have the flavor say more."""
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': specs})

    def inside(self, server, command):
        """What a command prints in a server, whatever becomes of it."""
        return self.run_in(
            server, f'exec 2> /dev/null; {command}')[1].rstrip('\n')

    def restart(self, **options):
        self.flags(group='docker', **options)
        self.compute = self.restart_compute_service(self.compute)

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

"""Heat's own settings, and what it needs of Keystone."""

import hashlib
import typing

from evalcloud import settings

#: Domain of the users that Heat makes for what is in a stack, and its admin.
DOMAIN = 'heat'
DOMAIN_ADMIN = 'heat-domain-admin'
#: The role of these users.
USER_ROLE = 'heat_stack_user'


def sections(cloud: settings.Settings, common: dict[str, typing.Any]
             ) -> dict[str, dict[str, typing.Any]]:
    """Sections of heat.conf that no other service has.

    :param common: what "DEFAULT" has of every service
    """
    keystone, shipped = cloud.url('keystone'), cloud.venv / 'etc' / 'heat'
    return {
        'DEFAULT': {
            **common,
            'auth_encryption_key': hashlib.sha256(
                cloud.password.encode()).hexdigest()[:32],
            'stack_user_domain_name': DOMAIN,
            'stack_domain_admin': DOMAIN_ADMIN,
            'stack_domain_admin_password': cloud.password,
            'heat_stack_user_role': USER_ROLE,
            'region_name_for_services': settings.REGION,
            'environment_dir': shipped / 'environment.d',
            'template_dir': shipped / 'templates',
            'default_deployment_signal_transport': 'HEAT_SIGNAL',
            'default_software_config_transport': 'POLL_SERVER_HEAT',
            'num_engine_workers': 1},
        'paste_deploy': {
            'api_paste_config': cloud.etc / 'heat' / 'api-paste.ini'},
        'ec2authtoken': {'auth_uri': keystone + '/v3'},
        'clients_keystone': {'auth_uri': keystone},
        # With a trust the project is that of the user who gave it.
        'trustee': {'auth_type': 'password', 'auth_url': keystone + '/v3',
                    'username': 'heat', 'password': cloud.password,
                    'user_domain_name': 'Default'},
    }

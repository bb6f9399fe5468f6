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

"""The entry point ``openstack.cli.extension`` of python-openstackclient.

The client imports it at each of its commands, so it imports nothing.
"""

import argparse
import typing

API_NAME = 'docker'
API_VERSION_OPTION = 'os_docker_api_version'
DEFAULT_API_VERSION = '1'
#: The commands are in the group ``openstack.docker.v1``.
API_VERSIONS = (DEFAULT_API_VERSION,)


def make_client(instance: typing.Any) -> typing.Any:
    """The client of the Image service: no service is of our own.

    :param instance: the client's openstackclient.common.clientmanager
    """
    return instance.sdk_connection.image


def build_option_parser(parser: argparse.ArgumentParser
                        ) -> argparse.ArgumentParser:
    """Add no global options: there is one version."""
    return parser

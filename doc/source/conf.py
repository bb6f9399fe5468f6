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


"""Sphinx configuration of the documentation."""

project = 'nova-docker'
copyright = '2026, OpenStack Contributors'
extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
    'sphinx_feature_classification.support_matrix',
]
master_doc = 'index'
pygments_style = 'native'

html_theme = 'openstackdocs'
openstackdocs_repo_name = 'openstack/nova-docker'
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
openstackdocs_bug_project = 'nova-docker'
openstackdocs_bug_tag = 'doc'

config_generator_config_file = (
    '../../etc/nova-docker/nova-docker-config-generator.conf')
sample_config_basename = '_static/nova-docker'

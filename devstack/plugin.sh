#!/bin/bash
#
# devstack/plugin.sh: what of nova-docker DevStack runs, phase by phase

source "$NOVA_DOCKER_DIR/devstack/lib/nova-docker"

if is_service_enabled nova; then
    case "$1 ${2:-}" in
        "stack pre-install")
            if is_docker_compute; then
                echo_summary "Installing Docker Engine"
                install_docker_engine
                set_nova_docker_sysctls
                install_lxcfs
            fi
            ;;
        "stack install")
            echo_summary "Installing nova-docker"
            install_nova_docker
            ;;
        "stack post-config")
            if is_docker_compute; then
                echo_summary "Configuring nova-docker"
                configure_nova_docker
            fi
            ;;
        "stack extra")
            if is_service_enabled g-api; then
                echo_summary "Uploading images of containers"
                init_nova_docker_images
            fi
            ;;
        "stack test-config")
            if is_service_enabled tempest && [[ "$VIRT_DRIVER" == "docker" ]]; then
                echo_summary "Configuring Tempest for nova-docker"
                configure_nova_docker_tempest
            fi
            ;;
        "unstack ")
            if is_docker_compute; then
                stop_nova_docker
            fi
            ;;
        "clean ")
            if is_docker_compute; then
                cleanup_nova_docker
            fi
            ;;
    esac
fi

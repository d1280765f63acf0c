#!/usr/bin/env bash
# What a distribution's cloud image has and ours has not, for `./inv bench.boot`: cloud-init, host keys of every kind, no trimming.
# Inputs: none; runs as root in a container on the base layer. Effect: packages and settings in it.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

rm -f /etc/modules-load.d/virtio-net.conf /etc/systemd/network/20-wired.network /etc/ssh/ssh_host_*
apt-get -q -y --no-install-recommends install cloud-init netplan.io
printf 'datasource_list: [NoCloud, None]\n' >/etc/cloud/cloud.cfg.d/90-datasource.cfg
systemctl enable cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service
apt-get -q clean

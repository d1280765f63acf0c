build {
  name        = "gpu-agent-debian"
  description = "Debian 12 with NVIDIA's, Docker's and Microsoft's own packages"
  sources     = ["source.azure-arm.golden"]

  provisioner "shell" {
    inline = ["! command -v cloud-init >/dev/null || sudo cloud-init status --wait >/dev/null || true"]
  }

  provisioner "shell" {
    inline = ["rm -rf /var/tmp/goldbake && install -d -m 0700 /var/tmp/goldbake /var/tmp/goldbake/scripts /var/tmp/goldbake/files"]
  }

  provisioner "file" {
    source      = "${var.scripts_dir}/"
    destination = "/var/tmp/goldbake/scripts"
  }

  provisioner "file" {
    source      = "${var.files_dir}/"
    destination = "/var/tmp/goldbake/files"
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/configure-apt.sh",
      "${var.scripts_dir}/install-kernel.sh",
    ]
  }

  provisioner "shell" {
    inline            = ["sudo systemctl reboot"]
    expect_disconnect = true
    pause_after       = var.reboot_pause
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/remove-old-kernels.sh",
      "${var.scripts_dir}/disable-nouveau.sh",
      "${var.scripts_dir}/install-driver.sh",
    ]
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/install-docker.sh",
      "${var.scripts_dir}/install-toolkit.sh",
    ]
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/create-users.sh",
      "${var.scripts_dir}/install-agent.sh",
    ]
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/install-firstboot.sh",
      "${var.scripts_dir}/configure-services.sh",
      "${var.scripts_dir}/trim-boot.sh",
      "${var.scripts_dir}/hold-packages.sh",
      "${var.scripts_dir}/disable-timers.sh",
      "${var.scripts_dir}/clean-image.sh",
    ]
  }

  provisioner "shell" {
    environment_vars = [
      "GOLDBAKE_AGENT_SHA256=",
      "GOLDBAKE_AGENT_SOURCE=microsoft",
      "GOLDBAKE_AGENT_URL=https://download.agent.dev.azure.com/agent/4.275.0/vsts-agent-linux-x64-4.275.0.tar.gz",
      "GOLDBAKE_AGENT_VERSION=4.275.0",
      "GOLDBAKE_CLOUD=azure",
      "GOLDBAKE_CODENAME=bookworm",
      "GOLDBAKE_CUDA_KEYRING_SHA256=e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
      "GOLDBAKE_CUDA_KEYRING_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb",
      "GOLDBAKE_CUDA_REPOSITORY_URL=https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64",
      "GOLDBAKE_DOCKER_KEY_FINGERPRINT=9DC858229FC7DD38854AE2D88D81803C0EBFCD88",
      "GOLDBAKE_DOCKER_KEY_URL=https://download.docker.com/linux/debian/gpg",
      "GOLDBAKE_DOCKER_REPOSITORY_URL=https://download.docker.com/linux/debian",
      "GOLDBAKE_DOCKER_SOURCE=docker",
      "GOLDBAKE_DOCKER_VERSION=28.2.2",
      "GOLDBAKE_DRIVER_MODULE=open",
      "GOLDBAKE_DRIVER_SOURCE=nvidia",
      "GOLDBAKE_DRIVER_VARIANT=compute",
      "GOLDBAKE_DRIVER_VERSION=580.159.04",
      "GOLDBAKE_FILES=/var/tmp/goldbake/files",
      "GOLDBAKE_IMAGE=gpu-agent-debian",
      "GOLDBAKE_OS=debian-12",
      "GOLDBAKE_SCRIPTS=/var/tmp/goldbake/scripts",
      "GOLDBAKE_TOOLKIT_KEY_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0",
      "GOLDBAKE_TOOLKIT_KEY_URL=https://nvidia.github.io/libnvidia-container/gpgkey",
      "GOLDBAKE_TOOLKIT_REPOSITORY_URL=https://nvidia.github.io/libnvidia-container/stable/deb/amd64",
      "GOLDBAKE_TOOLKIT_SOURCE=nvidia",
      "GOLDBAKE_TOOLKIT_VERSION=1.19.1",
    ]
    execute_command = "sudo env {{ .Vars }} bash '{{ .Path }}'"
    scripts = [
      "${var.scripts_dir}/write-manifest.sh",
    ]
  }

  provisioner "file" {
    direction   = "download"
    source      = "/usr/share/goldbake/manifest.json"
    destination = var.image_manifest
  }

  provisioner "shell" {
    inline = ["sudo rm -rf /var/tmp/goldbake"]
  }

  provisioner "shell" {
    inline = ["sudo waagent -force -deprovision+user && export HISTSIZE=0 && sync"]
  }

  post-processor "manifest" {
    output     = var.manifest_file
    strip_path = true
    custom_data = {
      bake     = var.bake
      cloud    = "azure"
      image    = "gpu-agent-debian"
      artifact = local.artifact
    }
  }
}
